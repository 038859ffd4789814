"""Normalizations that are written as operations: one layer, exact at every width."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.lowering.root_mean_square import RootMeanSquare
from kqat.transforms.graph import trace
from kqat.transforms.norms import with_norms
from tests.exactness import assert_exact, branches, images, values

FORMS = {
    "rsqrt": lambda x: x * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6),
    "power": lambda x: ops.rsqrt(1e-5 + ops.mean(ops.power(x, 2), axis=2, keepdims=True)) * x,
    "product": lambda x: x * ops.rsqrt(ops.mean(x * x, axis=(-1,), keepdims=True) + 1e-6),
    "reciprocal": lambda x: (
        x * ops.reciprocal(ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6))
    ),
    "quotient": lambda x: x / ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-3),
}
OTHERS = {
    "another tensor": lambda x: (x + 1) * ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6),
    "another axis": lambda x: x * ops.rsqrt(ops.mean(ops.square(x), axis=1, keepdims=True) + 1e-6),
    "a cube": lambda x: x * ops.rsqrt(ops.mean(ops.power(ops.abs(x), 3), axis=-1, keepdims=True) + 1e-6),
    "upside down": lambda x: ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + 1e-6) / (x + 9),
}


def norms(model):
    return [n for n in with_norms(trace(model)).nodes if isinstance(n.op, RootMeanSquare)]


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_found_and_given_back(name):
    model = branches((5, 8), [FORMS[name]])
    (found,) = norms(model)
    assert len(with_norms(trace(model)).nodes) == 1
    x = images(4, 5, 8)
    np.testing.assert_array_equal(ops.convert_to_numpy(found.op(x)), values(model, x))
    np.testing.assert_array_equal(values(kqat.strip_fake_quant(kqat.quantize(model)), x), values(model, x))


@pytest.mark.parametrize("name", OTHERS)
def test_what_only_looks_like_one_stays(name):
    assert not norms(branches((5, 8), [OTHERS[name]]))


def test_what_is_read_elsewhere_stays():
    x = keras.Input((5, 8))
    mean = ops.mean(ops.square(x), axis=-1, keepdims=True)
    assert not norms(keras.Model(x, [x * ops.rsqrt(mean + 1e-6), mean]))


@pytest.mark.parametrize("bits", [8, 4, 2, (8, 16)], ids=str)
def test_files_compute_what_models_compute(bits, tmp_path):
    functions = [lambda x, f=f: kl.Dense(3)(f(kl.Dense(6)(x))) for f in FORMS.values()]
    assert_exact(branches((5, 8), functions), bits, images(16, 5, 8), saved=tmp_path / "m.keras")


def test_small_values_keep_the_root_from_zero():
    """Every operation on 8 bits by itself would divide by a mean square that is rounded to 0."""
    x = images(16, 5, 8, scale=1e-3)
    model = branches((5, 8), [FORMS["reciprocal"]])
    q, _ = assert_exact(model, 8, x)
    assert np.abs(values(q, x) - values(model, x)).max() < 0.05
