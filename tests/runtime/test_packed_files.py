"""The public loader: sources, packed files, calls, and what it needs to run."""

import pathlib

import numpy as np
import pytest

import kqat
from kqat.core.errors import FileError
from kqat.export.packing.pack import pack_file
from tests.export.packed_files import codes, net, run_plainly

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def content():
    return net(2)[0]


@pytest.fixture(scope="module")
def packed():
    return pack_file(*net(2))


@pytest.fixture(scope="module")
def x():
    return codes((8, 8, 8), 5)


def expected(content, x):
    """Real outputs of the exact file in plain LiteRT."""
    return run_plainly(content, x)[0] * np.float32(0.05)


@pytest.mark.parametrize("isolated", [False, True], ids=["here", "isolated"])
def test_a_call_returns_the_output_of_the_exact_file(content, packed, x, isolated):
    with kqat.runtime.load(packed, isolated=isolated) as runtime:
        np.testing.assert_array_equal(runtime(x), expected(content, x))
        np.testing.assert_array_equal(runtime(x, batch_size=2), expected(content, x))
        np.testing.assert_array_equal(runtime.run([x])[0], expected(content, x))
        assert runtime.delegation.whole


class Exported:
    def __init__(self, content):
        self.content = content


@pytest.mark.parametrize("source", [bytes, bytearray, memoryview, Exported, pathlib.Path, str])
def test_loads_from_every_source(content, packed, x, source, tmp_path):
    if source in (str, pathlib.Path):
        (tmp_path / "model.tflite").write_bytes(packed)
        source, given = bytes, source(tmp_path / "model.tflite")
    else:
        given = source(packed)
    np.testing.assert_array_equal(kqat.runtime.load(given, threads=2)(x), expected(content, x))


def test_several_outputs_come_as_a_list(x):
    from kqat.formats.tflite.write import to_tflite
    from kqat.program.writer import Writer

    writer = Writer()
    a = writer.input("a", (None, 2))
    content = to_tflite(
        writer.program([a], [writer.reshape(a, (None, 1, 2), "b"), writer.reshape(a, (None, 2, 1), "c")])
    )
    shapes = [y.shape for y in kqat.runtime.load(content)(np.zeros((3, 2), np.float32))]
    assert shapes == [(3, 1, 2), (3, 2, 1)]


def test_expand_writes_the_exact_file(content, packed, tmp_path):
    (tmp_path / "packed.tflite").write_bytes(packed)
    assert kqat.runtime.expand(tmp_path / "packed.tflite", tmp_path / "exact.tflite") == content
    assert (tmp_path / "exact.tflite").read_bytes() == content
    assert kqat.runtime.expand(content) == content
    assert len(list(tmp_path.iterdir())) == 2


def test_expand_of_a_damaged_file_writes_nothing(packed, tmp_path):
    with pytest.raises(FileError, match="packed .tflite file is damaged"):
        kqat.runtime.expand(packed[:-1], tmp_path / "exact.tflite")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", [None, 5, ["model.tflite"]])
def test_other_sources_are_refused(source):
    with pytest.raises(FileError, match="not a .tflite file. Received: .*Use a path"):
        kqat.runtime.load(source)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileError, match="cannot be read.*nowhere.tflite"):
        kqat.runtime.load(tmp_path / "nowhere.tflite")


def test_a_packed_export_is_exact_and_verified_as_such():
    """From a Keras model: smaller, the same numbers, and every layer compared."""
    import keras

    inputs = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    h = keras.layers.Conv2D(8, 3, activation="relu", name="second")(h)
    model = keras.Model(inputs, keras.layers.Dense(4, name="head")(keras.layers.Flatten()(h)))
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")
    q = kqat.calibrate(kqat.quantize(model, bits=(2, 8)), images, verbose=0)
    exact, packed = kqat.export_tflite(q), kqat.export_tflite(q, weights="packed")
    assert len(packed.content) < len(exact.content)
    assert kqat.runtime.expand(packed) == exact.content
    assert kqat.verify(q, packed, images, layers=True, isolated=False).exact
    np.testing.assert_array_equal(
        kqat.runtime.load(packed)(images), keras.ops.convert_to_numpy(q(images, training=False))
    )
