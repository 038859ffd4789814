"""Float weights of which only the signs are stored: layers of signs that were placed by hand."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kqat
from kqat.core.errors import FileError
from kqat_runtime.packing.expand import expand_file, packed_tensors
from kqat_runtime.packing.float_signs import WHOLE, FloatSigns, signs
from kqat_runtime.packing.form import sealed, unsealed

ONE = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
EACH = {**ONE, "kernel_quantizer": "magnitude_aware_sign"}


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            kqat.layers.QuantConv2D(16, 3, kernel_quantizer="ste_sign", use_bias=False),
            keras.layers.BatchNormalization(),
            kqat.layers.QuantConv2D(12, 3, **EACH),
            keras.layers.BatchNormalization(),
            kqat.layers.QuantDepthwiseConv2D(3, **ONE),
            keras.layers.Flatten(),
            kqat.layers.QuantDense(10, **EACH),
            keras.layers.Dense(4),
        ]
    )


@pytest.fixture(scope="module")
def files(net):
    return kqat.export_tflite(net).content, kqat.export_tflite(net, weights="packed").content


def test_the_file_comes_back_to_the_byte(files):
    exact, packed = files
    assert expand_file(packed) == exact
    assert sorted(packed_tensors(packed).values()) == [1, 1, 1, 1]


def test_a_weight_takes_a_bit(files):
    exact, packed = files
    weights = 3 * 3 * 3 * 16 + 3 * 3 * 16 * 12 + 3 * 3 * 12 + 48 * 10
    saved = weights * 31 // 8
    # What comes on top: the metadata entry, whose text has a magnitude for each of 22 channels.
    assert saved - 1024 <= len(exact) - len(packed) <= saved


def test_the_file_computes_the_same(net, files):
    x = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype(np.float32)
    exact, packed = (kqat.runtime.load(content)(x) for content in files)
    np.testing.assert_array_equal(packed, exact)
    assert kqat.verify(net, files[1], x).mismatches == 0


def test_microcontrollers_get_floats():
    model = keras.Sequential([keras.Input((64,)), kqat.layers.QuantDense(8, kernel_quantizer="ste_sign")])
    packed = kqat.export_tflite(model, weights="packed", target="tflite-micro")
    assert packed_tensors(packed.content) == {}


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_values_follow_from_signs(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=4)))
    axis = data.draw(st.sampled_from([WHOLE, 0, len(shape) - 1]))
    count = 1 if axis == WHOLE else shape[axis]
    sizes = st.floats(2.0**-100, 2.0**100, width=32)
    magnitudes = np.float32(data.draw(st.lists(sizes, min_size=count, max_size=count)))
    along = [1] * len(shape)
    along[axis] = count if axis != WHOLE else 1
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = np.float32(rng.choice([-1.0, 1.0], shape)) * magnitudes.reshape(along)
    form = FloatSigns.of(values)
    if values.size < 8 * count:
        return  # may be left alone: the text of a magnitude is longer than a few weights
    assert form is not None
    assert form.fits(shape)
    np.testing.assert_array_equal(form.values(signs(values), shape), values)


@pytest.mark.parametrize(
    "values",
    [
        np.where(np.arange(64).reshape(8, 8) == 5, 0.0, 1.0),
        np.where(np.arange(64).reshape(8, 8) == 5, np.nan, 1.0),
        np.full((8, 8), np.inf),
        np.where(np.arange(64).reshape(8, 8) == 5, 2.0, 1.0),
        np.ones(64),
        np.ones((2, 3)),
    ],
    ids=["zero", "nan", "infinite", "one other", "a vector", "few"],
)
def test_other_weights_are_left_alone(values):
    assert FloatSigns.of(np.float32(values)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (",-1,[1.0]]", ",-1,[0.0]]"),
        (",-1,[1.0]]", ", 0,[1.0]]"),
        (",-1,[1.0]]", ",17,[1.0]]"),
        (",-1,[1.0]]", ",-1,[100]]"),
        (",-1,[1.0]]", ',-1,"1.0"]'),
        (",-1,[1.0]]", ",-1,[1e9],"),
        ('"floats"', '"floatz"'),
    ],
)
def test_damaged_lists_are_refused(files, old, new):
    body = unsealed(files[1])
    assert old.encode() in body
    damaged = sealed(body.replace(old.encode(), new.encode(), 1))
    with pytest.raises(FileError, match="damaged. Received: a file with"):
        kqat.runtime.load(damaged)


def test_an_entry_without_floats_is_that_of_older_files():
    """Files without such weights say nothing of them, so that what reads files without them reads these."""
    q = kqat.quantize(keras.Sequential([keras.Input((64,)), keras.layers.Dense(8)]), bits=4, boundary_bits=4)
    q = kqat.calibrate(q, np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32), verbose=0)
    packed = kqat.export_tflite(q, weights="packed").content
    text = packed[packed.index(b'{"tensors"') :].split(b"}")[0] + b"}"
    assert set(json.loads(text)) == {"tensors", "versions"}
