"""Parity: softmax against the runtime, zero differences."""

import numpy as np
import pytest
from keras import layers

from kqat.lowering.activations.softmax import PROBABILITY
from tests.few import few_on_jax
from tests.lowering.harness import grid
from tests.lowering.parity import check, float_error


def logits(source, classes, rows):
    """Rows from nearly uniform to nearly one-hot, the first one constant."""
    rng = np.random.default_rng(classes)
    spread = np.geomspace(1, 200, rows)[:, None]
    levels = np.rint(rng.normal(0, spread, (rows, classes)) + (source.qmin + source.qmax) / 2)
    levels[0] = 5
    return np.clip(levels, source.qmin, source.qmax).astype(np.float32)


SHAPES = [(2, 20000), (10, 20000), (100, 1000), (512, 100), (1000, 100)]


@pytest.mark.parametrize("shape", few_on_jax(SHAPES, (10, 20000), (1000, 100)), ids=str)
def test_probabilities(shape):
    classes, rows = shape
    # One element in 10,000 would be off if exp had an error in its last bit or the sum another order.
    for scale in (0.013, 0.1, np.log(2.0), 0.25) if classes <= 100 else (0.1,):
        source = grid(8, scale, qmin=-77)
        compile = scale == 0.1
        check(layers.Softmax(), (source,), PROBABILITY, logits(source, classes, rows), compile=compile)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_other_output_grids(bits):
    source = grid(bits, 0.4)
    levels = logits(source, 10, 500)
    for target in (grid(bits, 1 / 2**bits, signed=False), grid(bits, 0.9 / 2**bits)):
        check(layers.Activation("softmax"), (source,), target, levels, compile=False)


def test_sequences():
    source = grid(8, 0.1)
    levels = logits(source, 7, 600).reshape(20, 5, 6, 7)
    check(layers.Softmax(), (source,), PROBABILITY, levels, compile=False)


def test_float():
    x = np.random.default_rng(0).normal(0, 3, (50, 11)).astype(np.float32)
    assert float_error(layers.Softmax(), x) <= 1e-6  # two float32 exp functions
