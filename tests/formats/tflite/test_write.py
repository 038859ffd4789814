"""Golden: what the writer puts into a file, read back and run."""

import json

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from kqat.core.grid import Grid
from kqat.export.checks import check_file, summarize
from kqat.formats.tflite.write import to_tflite
from kqat.program.writer import Writer, default_zero_point


def grid(scale, qmin, qmax):
    return Grid(*(np.float32(value) for value in (scale, qmin, qmax)))


def parse(content):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))


def quantizing(target, activation="linear"):
    """A file that quantizes its float input onto a grid, the int8 output's reference with it."""
    writer = Writer()
    x = writer.input("x", (None, 4))

    def emit(out):
        writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")

    y = writer.quantized_output("y", x.shape, target, activation, emit)
    return to_tflite(writer.program([x], [y], ["x"], ["y"])), y


@pytest.mark.parametrize(
    ("target", "activation", "zero_points"),
    [
        (grid(0.1, -128, 127), "linear", [0]),
        (grid(0.1, 0, 255), "linear", [-128]),
        (grid(0.1, -100, 155), "linear", [-28]),
        (grid(0.1, 0, 15), "relu", [112]),
        (grid(0.1, 0, 3), "relu6", [124]),
        (grid(0.1, 0, 15), "linear", [112, -128]),
        (grid(0.1, -8, 7), "linear", [120, -120]),
        (grid(0.1, -8, 7), "relu", [120]),
        (grid(0.1, -127, 127), "linear", [0, -1]),
        (grid(0.1, 0, 1), "linear", [126, -128]),
    ],
)
def test_storage_of_grids(target, activation, zero_points):
    content, y = quantizing(target, activation)
    stored = [t.quantization.zeroPoint[0] for t in parse(content).subgraphs[0].tensors[1:]]
    assert stored == zero_points
    assert y.zero_point == zero_points[-1]
    x = np.linspace(-20, 30, 4000, dtype=np.float32)
    x = np.maximum(x, 0) if activation != "linear" else x
    levels = Interpreter(model_content=content).get_signature_runner()(x=x.reshape(-1, 4))["y"].astype(int)
    levels = levels - y.zero_point
    low = 0 if activation != "linear" else int(target.qmin)
    np.testing.assert_array_equal(np.unique(levels), np.arange(low, int(target.qmax) + 1))


def test_wide_grids_that_no_int16_tensor_can_hold_are_refused():
    with pytest.raises(ValueError, match="Received: levels 0 to 65535. Use a symmetric range"):
        default_zero_point(grid(0.1, 0, 65535))
    assert default_zero_point(grid(0.1, -32767, 32767)) == 0


def test_equal_constants_are_stored_once_and_aligned():
    writer = Writer()
    x = writer.input("x", (None, 3))
    for index in range(3):
        weights = writer.constant(f"w{index}", np.full((3, 3), index // 2, np.float32))
        out = writer.activation("y", (None, 3))
        writer.operator("FULLY_CONNECTED", [x, weights, None], [out], "FullyConnectedOptions")
        x = out
    content = to_tflite(writer.program([x], [x]))
    assert sum(buffer.data is not None for buffer in parse(content).buffers) == 2
    model = schema.Model.GetRootAs(content)
    for index in range(1, model.BuffersLength()):
        table = model.Buffers(index)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0


def test_names_are_unique():
    writer = Writer()
    names = [writer.activation(name, (1,)).name for name in ("a", "a", "a_1", "a", "b")]
    assert len(set(names)) == len(names)
    assert names[0] == "a"


def test_dynamic_batch_signature_and_metadata():
    writer = Writer()
    x = writer.input("features:0", (None, 6))
    y = writer.reshape(x, (None, 2, 3), "y")
    content = to_tflite(writer.program([x], [y], ["features"], ["scores"], "made by a test", {"kqat": "1.2"}))
    runner = Interpreter(model_content=content).get_signature_runner("serving_default")
    for batch in (1, 5):
        value = np.random.default_rng(0).normal(size=(batch, 6)).astype(np.float32)
        np.testing.assert_array_equal(runner(features=value)["scores"], value.reshape(batch, 2, 3))
    model = parse(content)
    assert model.description == b"made by a test"
    (entry,) = model.metadata
    assert entry.name == b"kqat"
    assert json.loads(bytes(model.buffers[entry.buffer].data)) == {"kqat": "1.2"}
    tensor = model.subgraphs[0].tensors[0]
    assert list(tensor.shape) == [1, 6]
    assert list(tensor.shapeSignature) == [-1, 6]


def test_per_channel_scales_keep_their_axis():
    writer = Writer()
    writer.constant("w", np.zeros((1, 2, 2, 3), np.int8), scale=np.float32([1, 2, 3]), axis=3)
    quantization = parse(to_tflite(writer.program([], []))).subgraphs[0].tensors[0].quantization
    assert quantization.quantizedDimension == 3
    np.testing.assert_array_equal(quantization.scale, [1, 2, 3])
    np.testing.assert_array_equal(quantization.zeroPoint, [0, 0, 0])


def test_unknown_sizes_and_unknown_fields_are_errors():
    writer = Writer()
    with pytest.raises(ValueError, match="Only the batch may be of unknown size"):
        writer.input("x", (None, None, 3))
    x = writer.input("x", (None, 3))
    writer.operator("RESHAPE", [x], [x], "ReshapeOptions", shape=1)
    with pytest.raises(ValueError, match="Received: 'shape'"):
        to_tflite(writer.program([x], [x]))


def test_same_calls_make_the_same_bytes():
    assert quantizing(grid(0.1, -8, 7))[0] == quantizing(grid(0.1, -8, 7))[0]


def test_summary_and_checks():
    content, _ = quantizing(grid(0.1, -8, 7))
    summary = summarize(content)
    assert dict(summary.operators) == {"QUANTIZE": 2}
    assert (summary.inputs, summary.outputs) == (("float32",), ("int8",))
    assert check_file(content, {"QUANTIZE": 2}, ("float32",), ("int8",)) == summary
    with pytest.raises(RuntimeError, match="other operators than planned"):
        check_file(content, {"QUANTIZE": 1})
    with pytest.raises(RuntimeError, match="other output types"):
        check_file(content, outputs=("float32",))
