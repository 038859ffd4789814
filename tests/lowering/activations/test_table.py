"""Parity where a result of a table lies on a border between two levels, as near as float32 can tell."""

import math

import numpy as np
import pytest
from keras import layers, ops

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.core.grid import Grid
from tests.lowering.harness import grid
from tests.lowering.parity import check, every_level, is_delegated, record

FORMULAS = {
    "gelu": lambda x: x / 2 * math.erfc(-x / math.sqrt(2)),
    "gelu_tanh": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "elu": lambda x: x if x > 0 else math.expm1(x),
}
FUNCTIONS = {"gelu": ops.gelu, "gelu_tanh": lambda x: ops.gelu(x, approximate=True), "elu": ops.elu}
DICTATED = {
    "sigmoid": (lambda p: math.log(p / (1 - p)), Grid(np.float32(1 / 256), np.float32(0), np.float32(255))),
    "tanh": (math.atanh, Grid(np.float32(1 / 128), np.float32(-128), np.float32(127))),
}


def nudged(rng, value) -> np.float32:
    """Returns a float32 within two units in the last place of `value`."""
    return np.float32(value) * np.float32(1 + rng.integers(-2, 3) * 2.0**-23)


@pytest.mark.parametrize("name", FORMULAS)
def test_output_scales_that_put_a_result_on_a_border(name):
    rng = np.random.default_rng(0)
    op, args, kwargs = record(FUNCTIONS[name], (None, 256))
    for _ in range(25):
        source = grid(8, np.float32(rng.uniform(0.005, 0.04)))
        level = int(rng.integers(-127, -3) if rng.random() < 0.7 else rng.integers(3, 127))
        y = FORMULAS[name](float(source.scale) * level)
        if abs(y) < 1e-3:
            continue
        border = int(rng.integers(0, 15 if y < 0 else 120)) + 0.5
        target = grid(8, nudged(rng, abs(y) / border), qmin=-17)
        check(op, (source,), target, every_level(source), args=args, kwargs=kwargs, compile=False)


@pytest.mark.parametrize("name", DICTATED)
def test_input_scales_that_put_a_result_on_a_border(name):
    rng = np.random.default_rng(0)
    inverse, target = DICTATED[name]
    for _ in range(25):
        level = int(rng.integers(3, 127)) * (1 if rng.random() < 0.5 else -1)
        middle = 128 if name == "sigmoid" else 0
        border = middle + math.copysign(int(rng.integers(2, 120)) + 0.5, level)
        source = grid(8, nudged(rng, inverse(border * float(target.scale)) / level))
        check(layers.Activation(name), (source,), target, every_level(source), compile=False)


@pytest.mark.parametrize("name", DICTATED)
def test_only_doubtful_results_are_written_as_a_table(name):
    inverse, target = DICTATED[name]
    scale = inverse(200.5 / 256 if name == "sigmoid" else 100.5 / 128) / 40
    for factor, delegated in ((1.0, False), (1.001, True)):
        source = grid(8, np.float32(scale * factor), qmin=-40)
        step = check(layers.Activation(name), (source,), target, every_level(source), compile=False)
        assert is_delegated(step, (None, 256)) == delegated
