"""Parity: the float borders of the integer graph against the runtime, value for value."""

import itertools

import numpy as np
import pytest
from keras import ops

from kqat.core.grid import Grid
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.arithmetic.border import (
    quantize_forward,
    requantize_forward,
    write_dequantize,
    write_quantize,
    write_requantize,
)
from kqat.program.writer import Writer
from tests.lowering import harness


def written(grid, x):
    writer = Writer()
    source = writer.input("x0", (None, *x.shape[1:]))
    y = write_dequantize(writer, write_quantize(writer, source, grid, "q"), "y")
    content = to_tflite(writer.program([source], [y], output_names=["y"]))
    assert harness.fully_delegated(content)
    return harness.run(content, x)


@pytest.mark.parametrize("shape", [(5,), (8,), (12,), (3, 5), (2, 3, 4), (1,)])
def test_ties_round_alike_wherever_in_an_int16_tensor_they_are(shape):
    """LiteRT's kernel rounds what is left over after groups of eight in another way."""
    rng = np.random.default_rng(0)
    grid = Grid(np.float32(75.1755), np.float32(-(2.0**15)), np.float32(2.0**15 - 1))
    ties = (rng.integers(-32000, 32000, (1000, *shape)) + 0.5) * np.float64(grid.scale)
    x = np.nextafter(ties.astype(np.float32), rng.choice(np.float32([-np.inf, np.inf]), ties.shape))
    writer = Writer()
    source = writer.input("x0", (None, *shape))
    y = write_dequantize(writer, write_quantize(writer, source, grid, "q"), "y")
    content = to_tflite(writer.program([source], [y], output_names=["y"]))
    ours = ops.convert_to_numpy(quantize_forward(ops.convert_to_tensor(x), grid))
    alone = np.concatenate([harness.run(content, row[None]) for row in x])
    np.testing.assert_array_equal(alone, ours)
    np.testing.assert_array_equal(harness.run(content, x), ours)


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


def requantized(source, target, levels):
    writer = Writer()
    x = writer.input("x0", (None, levels.size), grid=source)
    y = write_requantize(writer, x, target, "y")
    content = to_tflite(writer.program([x], [y], output_names=["y"]))
    assert harness.fully_delegated(content)
    return harness.run(content, (levels + x.zero_point).astype(np.int8)[None])[0].astype(int) - y.zero_point


@pytest.mark.parametrize("bits", [(8, 8), (8, 4), (4, 8), (4, 4), (2, 8), (8, 2)])
def test_requantize_every_level(bits):
    rng = np.random.default_rng(0)
    ratios = [1.0, 0.5, 2.0, 1 / 3, 1 / 256, 128.0, *np.exp2(rng.uniform(-7.9, 6.9, 4))]
    for ratio, signed in itertools.product(ratios, itertools.product([True, False], repeat=2)):
        source = harness.grid(bits[0], 0.25, signed[0])
        target = harness.grid(bits[1], 0.25 / ratio, signed[1])
        levels = np.arange(source.qmin, source.qmax + 1, dtype=np.float32)
        x = ops.convert_to_tensor(levels * source.scale)
        ours = ops.convert_to_numpy(requantize_forward(x, source, target)) / target.scale
        np.testing.assert_array_equal(np.rint(ours), requantized(source, target, levels))


def test_requantize_refuses_what_the_runtime_cannot_do():
    with pytest.raises(ValueError, match="Use a ratio from 1/256 to 128"):
        requantized(harness.grid(8, 1.0), harness.grid(8, 1e-3), np.zeros(1))
