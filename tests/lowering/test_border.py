"""Parity: the float borders of the integer graph against the runtime, value for value."""

import itertools

import numpy as np
import pytest
from keras import ops

from kqat.core.grid import Grid
from kqat.export.writer import Writer
from kqat.lowering.border import quantize_forward, write_dequantize, write_quantize
from tests.lowering import harness


def written(grid, x):
    writer = Writer()
    source = writer.input("x0", (None, *x.shape[1:]))
    y = write_dequantize(writer, write_quantize(writer, source, grid, "q"), "y")
    content = writer.finish([source], [y], output_names=["y"])
    assert harness.fully_delegated(content)
    return harness.run(content, x)


@pytest.mark.parametrize("bits", [8, 7, 4, 2, 1])
def test_quantize(bits):
    rng = np.random.default_rng(bits)
    count = 2**bits - 1
    for scale, part in itertools.product(np.float32([1.0, 0.1, 1 / 255, 3e-5, 17.3]), [1.0, 0.5, 0.3, 0.0]):
        low = np.float32(-round(part * count))
        grid = Grid(scale, low, np.float32(low + count))
        x = rng.normal(0, count, (50, 40)).astype(np.float32) * scale
        x[0] = (np.arange(40) - 20.5) * scale  # exact and nearly exact ties
        x[1, :4] = [1e9, -1e9, 0.0, -0.0]
        ours = ops.convert_to_numpy(quantize_forward(ops.convert_to_tensor(x), grid))
        np.testing.assert_array_equal(ours, written(grid, x))
        assert ours.min() == np.float32(low * scale)
        assert ours.max() == np.float32(grid.qmax * scale)
