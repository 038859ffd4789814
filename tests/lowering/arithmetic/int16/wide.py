"""Runs one step between int16 tensors in Keras, eager and compiled, and in the runtime; compares levels."""

from dataclasses import replace

import keras
import numpy as np
from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.arithmetic.int16.border import full_grid
from kqat.lowering.base import Step, Weights
from tests.lowering import harness
from tests.lowering.parity import compiled


def grid(scale) -> Grid:
    """The grid of an int16 tensor."""
    return full_grid(np.float32(scale))


def weights(rng, shape, channels: int, bits=8, bias_std=2.0**20) -> Weights:
    """Random integer weights with a bias of the order of their sums."""
    found = harness.weights(rng, shape, channels, bits)
    return replace(found, bias=np.rint(rng.normal(0, bias_std, channels)).astype(np.float32))


def fitting(w: Weights, fan_in: int, source: Grid, spread=3.0) -> np.float32:
    """The output scale of an int16 grid that random sums fill, with some saturation."""
    inputs = max(float(source.qmax), -float(source.qmin)) / np.sqrt(3)
    sums = np.sqrt(np.mean(w.values**2) * fan_in) * inputs + 2.0**20
    return np.float32(spread * sums * float(source.scale) * float(np.median(w.scale)) / 2**15)


def keras_levels(lowering, step, x, compile: bool):
    """Levels that the Keras forward computes; scales and weights are inputs, as in a model."""
    w = step.weights
    grids = [(g.scale, g.qmin, g.qmax) for g in (*step.inputs, step.output)]
    arrays = () if w is None else (w.values, w.scale, w.bias)

    def forward(x, grids, arrays):
        *sources, target = (Grid(*fields) for fields in grids)
        bound = None if w is None else Weights(*arrays, w.bits)
        return lowering.forward(replace(step, inputs=tuple(sources), output=target, weights=bound), *x)

    real = [one * g.scale for one, g in zip(x, step.inputs, strict=True)]
    tensors = keras.tree.map_structure(ops.convert_to_tensor, (real, grids, arrays))
    y = (compiled(forward) if compile else forward)(*tensors)
    return np.rint(ops.convert_to_numpy(y) / step.output.scale).astype(int)


def runtime_levels(lowering, step, *levels):
    """Levels that the runtime computes."""
    content, refs, out = harness.write(lowering, step, *((None, *x.shape[1:]) for x in levels))
    codes = [(x + ref.zero_point).astype(ref.dtype) for x, ref in zip(levels, refs, strict=True)]
    result = harness.run(content, *codes)
    assert result.dtype == out.dtype
    return result.astype(int) - out.zero_point


def check(lowering, step: Step, *levels, eager=False):
    """Demands equal levels from the compiled forward (and with `eager` from that), and from the runtime."""
    theirs = runtime_levels(lowering, step, *levels)
    for compile in (False, True) if eager else (True,):
        ours = keras_levels(lowering, step, levels, compile)
        assert ours.shape == theirs.shape
        wrong = np.flatnonzero(ours != theirs)
        assert wrong.size == 0, (
            f"{wrong.size}/{ours.size} levels differ (compiled: {compile}), at most by "
            f"{np.abs(ours - theirs).max()}; first: keras {ours.flat[wrong[0]]}, "
            f"runtime {theirs.flat[wrong[0]]}"
        )
    low, high = int(step.output.qmin), int(step.output.qmax)
    assert low <= theirs.min() <= theirs.max() <= high
    return theirs
