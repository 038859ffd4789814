"""Parity: operations that only move values."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from kqat.errors import UnsupportedError
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from kqat.program.writer import Writer
from tests.exactness import assert_exact, images
from tests.lowering.harness import grid, run, samples, write
from tests.lowering.parity import check, float_error, is_delegated, record

IMAGE, SEQUENCE, ROW = (5, 6, 8, 4), (5, 9, 4), (5, 7)
LAYERS = {
    "flatten": (layers.Flatten(), IMAGE),
    "reshape": (layers.Reshape((8, -1)), IMAGE),
    "permute": (layers.Permute((3, 1, 2)), IMAGE),
    "repeat": (layers.RepeatVector(4), ROW),
    "crop image": (layers.Cropping2D(((1, 2), (0, 3))), IMAGE),
    "crop sequence": (layers.Cropping1D((2, 1)), SEQUENCE),
}
OPERATIONS = {
    "slice": lambda x: x[:, 1:, ::2],
    "last of an axis": lambda x: x[..., -1],
    "row and new axis": lambda x: x[:, 2, None],
    "reshape": lambda x: ops.reshape(x, (-1, 48, 4)),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "swapaxes": lambda x: ops.swapaxes(x, 1, -1),
    "moveaxis": lambda x: ops.moveaxis(x, 1, 3),
    "expand dims": lambda x: ops.expand_dims(x, 1),
    "squeeze": lambda x: ops.squeeze(x[:, :1], 1),
}
if keras.backend.backend() != "torch":  # whose tensors take no negative steps
    OPERATIONS["backwards"] = lambda x: x[:, ::-1, 4:0:-2]
NOTHING = [
    layers.Dropout(0.5), layers.SpatialDropout2D(0.5), layers.GaussianNoise(0.5), layers.GaussianDropout(0.5),
    layers.ActivityRegularization(l1=0.1), layers.Identity(),
]  # fmt: skip


def levels_of(grid, shape):
    return samples(np.random.default_rng(0), grid, shape)


@pytest.mark.parametrize("case", LAYERS)
def test_layers(case):
    layer, shape = LAYERS[case]
    for source in (grid(8, 0.1, qmin=-77), grid(4, 0.1, signed=False), grid(2, 0.1)):
        step = check(layer, (source,), source, levels_of(source, shape), compile=False)
    assert is_delegated(step, (None, *shape[1:]))
    assert float_error(layer, levels_of(source, shape)) == 0


@pytest.mark.parametrize("case", OPERATIONS)
def test_operations(case):
    shape = (5, 1, 8, 4) if case == "squeeze" else IMAGE
    function = (lambda x: ops.squeeze(x, 1)) if case == "squeeze" else OPERATIONS[case]
    op, args, kwargs = record(function, shape)
    for source in (grid(8, 0.1, qmin=-77), grid(4, 0.1)):
        check(op, (source,), source, levels_of(source, shape), args=args, kwargs=kwargs, compile=False)
    assert float_error(op, levels_of(source, shape), args=args, kwargs=kwargs) == 0


@pytest.mark.parametrize("layer", NOTHING, ids=lambda layer: layer.name)
def test_what_does_nothing_at_inference_writes_nothing(layer):
    source, shape = grid(), (2, 3, 3, 2)
    lowering, step = lowering_for(layer), Step(layer, (source,), source)
    _, (x,), y = write(lowering, step, (None, *shape[1:]))
    assert y == x
    values = ops.convert_to_tensor(levels_of(source, shape) * source.scale)
    np.testing.assert_array_equal(lowering.forward(step, values), values)


def test_another_output_grid_is_honoured():
    source = grid(8, 0.1)
    check(layers.Flatten(), (source,), grid(8, 0.07), levels_of(source, IMAGE), compile=False)


@pytest.mark.parametrize("sections", [2, [1, 4]])
def test_split(sections):
    op, args, kwargs = record(lambda x: ops.split(x, sections, 2), IMAGE)
    step = Step(op, (grid(),), grid(), "linear", None, args, kwargs)
    writer = Writer()
    x = writer.input("x0", (None, *IMAGE[1:]), grid=grid())
    parts = lowering_for(op).emit(writer, step, [x], "y")
    levels = levels_of(grid(), IMAGE)
    expected = np.split(levels, sections, 2)
    for number, (part, wanted) in enumerate(zip(parts, expected, strict=True)):
        content = to_tflite(writer.program([x], [part], output_names=["y"]))
        got = run(content, (levels + x.zero_point).astype(np.int8))
        np.testing.assert_array_equal(got - part.zero_point, wanted, err_msg=str(number))


def test_a_slice_of_the_batch_is_refused():
    op, args, kwargs = record(lambda x: x[1:, :2], IMAGE)
    with pytest.raises(UnsupportedError, match="leave the batch whole"):
        write(lowering_for(op), Step(op, (grid(),), grid(), "linear", None, args, kwargs), (None, 6, 8, 4))


def test_an_activation_is_refused():
    step = Step(layers.Flatten(), (grid(),), grid(), "relu6")
    with pytest.raises(UnsupportedError, match="cannot carry an activation"):
        write(lowering_for(step.op), step, (None, 6, 8, 4))


CUTS = [
    *(lambda x: x[:, 1:, ::2, :], lambda x: x[:, 1:][..., ::2], lambda x: x[..., 0], lambda x: x[:, 0]),
    *(lambda x: x[:, None, 1:3], lambda x: x[:, -1, ..., 1:], lambda x: x[:, :, None, 2, -2:]),
    *(lambda x: x[::1, ..., :2], lambda x: x[:, -3:-1, 1:-1]),
]
BACKWARDS = [lambda x: x[:, ::-1], lambda x: x[:, 5:1:-2, ::-2, 1:]]  # PyTorch has no negative steps


@pytest.mark.parametrize(("bits", "saved"), [(8, "model.keras"), (4, "model.kqat"), ((8, 16), "model.keras")])
@pytest.mark.repeats
def test_subscripts_survive_saving(bits, saved, tmp_path):
    cuts = CUTS if keras.backend.backend() == "torch" else CUTS + BACKWARDS
    functions = [lambda x, cut=cut: layers.Flatten()(cut(x)) for cut in cuts]
    inputs = keras.Input((8, 8, 2))
    y = layers.Conv2D(3, 3)(inputs)
    model = keras.Model(
        inputs, layers.Dense(2)(layers.Concatenate()([function(y) for function in functions]))
    )
    x = images(8, 8, 8, 2)
    q, export = assert_exact(model, bits, x, saved=tmp_path / saved)
    again = keras.models.model_from_json(q.to_json())
    again.set_weights(q.get_weights())
    assert kqat.export_tflite(again, fallback="error").content == export.content
