"""Runs one step in Keras, in NumPy and in the runtime, and demands one result."""

import keras
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.core.grid import Grid
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from tests.lowering.harness import keras_levels, runtime_levels
from tests.lowering.parity import every_level, every_pair

# Ratios of small numbers put many results exactly between two levels.
SIMPLE = (1.0, 0.5, 0.25, 0.125, 1 / 3, 2 / 3, 0.1, 0.2, 0.75)

# JAX compiles every operation anew for every shape.
EXAMPLES = settings(max_examples=4 if keras.backend.backend() == "jax" else 12)
# Where the shape is always the same.
MANY_EXAMPLES = settings(max_examples=20)


def every_code(grid):
    """Every level of a grid, repeated to shape (2, 256)."""
    return np.resize(every_level(grid, 2), (2, 256))


def every_pair_of_codes(a, b):
    """Every level of a grid against every level of another, repeated to shape (1, 65536)."""
    return [np.resize(x, (1, 2**16)) for x in every_pair(a, b)]


def scales(low=0.003, high=1.0):
    """Scales, simple ones as often as arbitrary ones."""
    simple = [scale for scale in SIMPLE if low <= scale <= high]
    return st.one_of(
        st.sampled_from(simple), st.floats(float(np.float32(low)), float(np.float32(high)), width=32)
    )


@st.composite
def grids(draw, scale=None, bits=(8, 8, 4, 2)):
    """Grids of every width: unsigned, signed and shifted."""
    width = draw(st.sampled_from(bits))
    count = 2**width
    low = draw(st.sampled_from([0, -count // 2, -(count - 1), -1]) | st.integers(1 - count, 0))
    step = draw(scales()) if scale is None else scale
    return Grid(np.float32(step), np.float32(low), np.float32(low + count - 1))


def target_for(draw, spread, saturate=(0.3, 2.0), sources=()):
    """A grid that values of size `spread` fill, or overflow; its scale is a simple one now and then.

    Args:
        draw: Of hypothesis.
        spread: Size of the values.
        saturate: Ratios of `spread` to the reach of the grid.
        sources: Grids from which a QUANTIZE to this one must be possible.
    """
    grid = draw(grids(scale=1.0))
    scale = spread / max(float(-grid.qmin), float(grid.qmax)) / draw(st.floats(*saturate))
    if draw(st.booleans()):
        scale = 2.0 ** np.round(np.log2(scale))
    for source in sources:
        scale = np.clip(scale, source.scale / 100, source.scale * 200)
    return Grid(np.float32(scale), grid.qmin, grid.qmax)


def levels_of(rng, grid, shape):
    """Levels all over a grid; every second example mostly at its two ends."""
    levels = rng.integers(int(grid.qmin), int(grid.qmax) + 1, shape)
    ends = rng.choice([int(grid.qmin), int(grid.qmax)], shape)
    extreme = (np.arange(shape[0]) % 2 == 1).reshape(-1, *[1] * (len(shape) - 1)) & (rng.random(shape) < 0.8)
    return np.where(extreme, ends, levels).astype(np.float32)


def agree(op, inputs, output, levels, expected, weights=None, activation="linear", args=None, kwargs=None):
    """Demands that Keras, NumPy and the runtime compute the same levels.

    Args:
        op: Layer or operation.
        inputs: Grids of the inputs.
        output: Grid of the output.
        levels: Level arrays of the inputs.
        expected: What NumPy computes.
        weights: `Weights` of a weighted layer.
        activation: Fused activation.
        args: Call arguments; by default the tensors.
        kwargs: Likewise.
    """
    if args is None:
        places = [Input(i) for i in range(len(inputs))]
        args = tuple(places) if len(places) == 1 else (places,)
    step = Step(op, tuple(inputs), output, activation, weights, args, kwargs or {})
    lowering = lowering_for(op)
    found = {
        "Keras": keras_levels(lowering, step, *levels),
        "the runtime": runtime_levels(lowering, step, *levels),
    }
    for side, result in found.items():
        assert result.shape == expected.shape, f"{side}: {result.shape}, NumPy: {expected.shape}"
        wrong = np.flatnonzero(result != expected)
        assert wrong.size == 0, (
            f"{wrong.size}/{expected.size} levels of {side} are not NumPy's; "
            f"first: {side} {result.flat[wrong[0]]}, NumPy {expected.flat[wrong[0]]}"
        )
