"""Versions of operators, against LiteRT's table (`op_version.cc`), rule by rule."""

import numpy as np
import pytest

from kqat.core.grid import Grid
from kqat.formats.tflite.versions import version_of
from kqat.program.writer import Writer

GRID = {
    "int8": Grid(np.float32(0.1), np.float32(-128), np.float32(127)),
    "int16": Grid(np.float32(0.1), np.float32(-32767), np.float32(32767)),
}


def version(builtin, inputs, outputs, options=None, **fields):
    """The version of one operation between tensors: `(type, shape)`, or array and scale of a constant."""
    writer = Writer()

    def add(end):
        if isinstance(end[0], np.ndarray):
            return writer.constant("constant", *end)
        return writer.activation("tensor", end[1], GRID.get(end[0]), dtype=end[0])

    refs = [None if end is None else add(end) for end in inputs]
    writer.operator(builtin, refs, [add(end) for end in outputs], options, **fields)
    program = writer.program([], [])
    return version_of(program.operations[0], program)


def weights(*shape, channels=2):
    return np.ones(shape, np.int8), np.full(channels, 0.5, np.float32)


@pytest.mark.parametrize(("kind", "expected"), [("float32", 1), ("int8", 2), ("int16", 3)])
def test_the_type_decides(kind, expected):
    x = (kind, (1, 4))
    assert version("ADD", [x, x], [x], "AddOptions") == expected
    assert version("SUB", [x, x], [x], "SubOptions") == {1: 1, 2: 2, 3: 5}[expected]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [("float32", "int8", 1), ("int8", "int8", 1), ("int16", "int8", 1), ("int8", "int16", 2)],
)
def test_quantize(source, target, expected):
    assert version("QUANTIZE", [(source, (1, 4))], [(target, (1, 4))]) == expected


def test_fully_connected():
    x, y = ("int8", (1, 3)), ("int8", (1, 2))
    options = "FullyConnectedOptions"
    assert version("FULLY_CONNECTED", [x, weights(2, 3), None], [y], options) == 4
    assert version("FULLY_CONNECTED", [x, weights(2, 3), None], [y], options, keepNumDims=True) == 5
    real, wide = ("float32", (1, 3)), ("int16", (1, 3))
    assert version("FULLY_CONNECTED", [real, weights(2, 3), None], [("float32", (1, 2))], options) == 12
    assert version("FULLY_CONNECTED", [wide, weights(2, 3), None], [("int16", (1, 2))], options) == 7


def test_convolutions_of_groups():
    x, y = ("int8", (1, 8, 8, 4)), ("int8", (1, 8, 8, 2))
    assert version("CONV_2D", [x, weights(2, 1, 1, 4)], [y], "Conv2DOptions") == 3
    assert version("CONV_2D", [x, weights(2, 1, 1, 2)], [y], "Conv2DOptions") == 6
    real = ("float32", (1, 8, 8, 4))
    dilated = {"dilationWFactor": 2, "dilationHFactor": 1}
    constant = np.ones((1, 3, 3, 4), np.float32), None
    assert version("DEPTHWISE_CONV_2D", [real, constant], [real], "DepthwiseConv2DOptions", **dilated) == 2


def test_products_that_grow():
    x = ("int8", (1, 4))
    small, large = ((np.ones(1, np.int8), np.float32([scale])) for scale in (0.5, 2.0))
    assert version("MUL", [x, small], [x], "MulOptions") == 2
    assert version("MUL", [x, large], [x], "MulOptions") == 3


@pytest.mark.parametrize(("rank", "expected"), [(4, 2), (5, 4), (6, 6)])
def test_transposes_of_many_dimensions(rank, expected):
    x = ("int8", (1,) * rank)
    assert version("TRANSPOSE", [x, (np.arange(rank, dtype=np.int32), None)], [x]) == expected


def test_constants_that_are_dequantized():
    y = ("float32", (2, 3))
    assert version("DEQUANTIZE", [("int8", (2, 3))], [y]) == 2
    assert version("DEQUANTIZE", [weights(2, 3)], [y]) == 5
    assert version("DEQUANTIZE", [weights(2, 3, channels=1)], [y]) == 2


def test_options_decide():
    x, sizes = ("float32", (1, 4, 4, 1)), (np.int32([8, 8]), None)
    for kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        assert version(kind, [x, sizes], [x]) == 1
        assert version(kind, [x, sizes], [x], "ResizeBilinearOptions", halfPixelCenters=True) == 3
    table, ids = ("int8", (2, 9)), (np.int32([[1], [2]]), None)
    assert version("GATHER", [table, ids], [table], "GatherOptions") == 2
    assert version("GATHER", [table, ids], [table], "GatherOptions", batchDims=1) == 5
