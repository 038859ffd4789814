"""Parity: normalizations of one example, Keras against the runtime, zero differences."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import layers

import kqat
from kqat.core.grid import Grid
from kqat.errors import UnsupportedError
from kqat.lowering.arithmetic import whole_sums
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from tests.few import few_on_jax
from tests.lowering import harness
from tests.lowering.harness import built, grid, samples
from tests.lowering.parity import check, compiled, float_error, optimized

CASES = {
    "layer": (lambda: layers.LayerNormalization(), (19, 64)),
    "layer of few": (lambda: layers.LayerNormalization(epsilon=1e-6), (301, 3)),
    "layer of many": (lambda: layers.LayerNormalization(), (9, 2048)),
    "layer over two axes": (lambda: layers.LayerNormalization(axis=(1, 2)), (7, 6, 8)),
    "layer over the first axis": (lambda: layers.LayerNormalization(axis=1), (7, 6, 8)),
    "layer of tokens": (lambda: layers.LayerNormalization(center=False), (3, 5, 96)),
    "layer without gain": (lambda: layers.LayerNormalization(scale=False), (3, 5, 33)),
    "rms": (lambda: layers.RMSNormalization(), (19, 64)),
    "rms of many": (lambda: layers.RMSNormalization(epsilon=1e-3), (9, 1500)),
    "groups": (lambda: layers.GroupNormalization(4), (5, 6, 7, 16)),
    "groups of a sequence": (lambda: layers.GroupNormalization(2), (5, 40, 6)),
    "one group": (lambda: layers.GroupNormalization(1, center=False), (3, 12, 12, 8)),
    "instances": (lambda: layers.GroupNormalization(-1, scale=False), (3, 40, 50, 4)),
    "unit": (lambda: layers.UnitNormalization(), (19, 64)),
    "unit of many": (lambda: layers.UnitNormalization(), (9, 700)),
}
if keras.backend.backend() == "torch":
    del CASES["layer over the first axis"]  # Keras's own layer fails there: PyTorch wants the last axes
# (input scale, lowest input level, output scale, lowest output level): also spreads small against epsilon.
GRIDS = [(0.05, -128, 0.03, -128), (0.0007, -200, 0.021, -100), (3.7, 0, 0.027, -60)]


def layer_of(case, seed=0):
    """The layer of a case with random weights."""
    make, shape = CASES[case]
    layer, rng = built(make(), (None, *shape[1:])), np.random.default_rng(seed)
    for variable in layer.weights:
        variable.assign(rng.normal(0.5, 1.0, variable.shape))
    return layer, shape


def spread(rng, source, shape):
    """Levels of all kinds of examples: wide ones, narrow ones, constant ones, ends."""
    levels = samples(rng, source, shape)
    narrow = rng.integers(0, 3, shape) + int(source.qmin) + 7
    levels[1] = narrow[1]
    levels[2] = source.qmax
    return levels.astype(np.float32)


@pytest.mark.parametrize(
    "case", few_on_jax(CASES, "layer over two axes", "rms", "groups", "instances", "unit")
)
def test_eight_bits(case):
    layer, shape = layer_of(case)
    for number, (sx, low_x, so, low_y) in enumerate(GRIDS):
        if "unit" in case:
            so = so / 8
        source, target = grid(8, sx, qmin=low_x), grid(8, so, qmin=low_y)
        levels = spread(np.random.default_rng(number), source, shape)
        step = check(layer, (source,), target, levels, compile=number == 1)
        assert_follows_keras(layer, step, levels)
    assert_graph_is_the_same(step, levels)


def assert_follows_keras(layer, step, levels):
    """Demands that the integer form is the layer, rounded to the output grid."""
    (source,), target = step.inputs, step.output
    x = levels * source.scale
    ours = harness.keras_levels(lowering_for(layer), step, levels)
    y = np.clip(keras.ops.convert_to_numpy(layer(x)) / target.scale, target.qmin, target.qmax)
    # Half a step of rounding, and the float32 errors of Keras's own formula, which cancels on narrow
    # examples: those are left out.
    assert np.abs(ours - y)[[0, *range(3, len(x))]].max() <= 0.51


def assert_graph_is_the_same(step, levels):
    """Demands the same from a graph that TensorFlow's optimizer has rewritten."""
    lowering = lowering_for(step.op)
    eager = harness.keras_levels(lowering, step, levels)
    y = optimized(partial(lowering.forward, harness.tensors(step)))(levels * step.inputs[0].scale)
    np.testing.assert_array_equal(np.rint(keras.ops.convert_to_numpy(y) / step.output.scale), eager)


@pytest.mark.parametrize("bits", [4, 2])
def test_few_bits(bits):
    layer, shape = layer_of("layer")
    source, target = grid(bits, 0.3), grid(bits, 1.1 * 8 / 2**bits, signed=False)
    check(layer, (source,), target, samples(np.random.default_rng(0), source, shape), compile=False)


def wide_grid(scale):
    return Grid(np.float32(scale), np.float32(-(2**15)), np.float32(2**15 - 1))


@pytest.mark.parametrize("case", ["layer", "layer of many", "rms of many", "groups", "instances", "unit"])
def test_sixteen_bits(case):
    layer, shape = layer_of(case)
    lowering = lowering_for(layer, 16)
    assert lowering.wide
    for sx, target in ((0.0004, wide_grid(1e-4)), (0.02, grid(8, 0.003 if case == "unit" else 0.03))):
        step = Step(layer, (wide_grid(sx),), target, args=(Input(0),))
        levels = samples(np.random.default_rng(1), step.inputs[0], shape)
        levels[1] = np.round(levels[1] / 3000)
        content, (ref,), out = harness.write(lowering, step, (None, *shape[1:]))
        theirs = harness.run(content, levels.astype(np.int16)).astype(int) - out.zero_point
        np.testing.assert_array_equal(harness.keras_levels(lowering, step, levels), theirs)
        bound = harness.tensors(step)
        y = compiled(partial(lowering.forward, bound))(levels * step.inputs[0].scale)
        y = keras.ops.convert_to_numpy(y)
        np.testing.assert_array_equal(np.rint(y / target.scale), theirs)
        assert len(np.unique(theirs)) > 100


@pytest.mark.parametrize("case", ["layer", "layer over two axes", "rms", "groups", "unit"])
def test_float(case):
    layer, shape = layer_of(case)
    x = np.random.default_rng(0).normal(1.0, 2.0, shape).astype(np.float32)
    # Sums of up to a few hundred terms, in another order and through another formula of the variance.
    assert float_error(layer, x) <= 2e-5


def test_sums_pass_the_limit_of_exact_numbers():
    """The largest sums of squares, which a single float32 sum would get wrong."""
    rng = np.random.default_rng(0)
    source = grid(8, 0.01, qmin=-255)
    levels = rng.choice(np.float32([-255, -254, 0]), (4, 3001), p=[0.9, 0.05, 0.05])
    layer = built(layers.RMSNormalization(), (None, 3001))
    check(layer, (source,), grid(8, 0.01, qmin=-255), levels)
    assert whole_sums.EXACT < 255**2 * 3001


@pytest.mark.parametrize(("rows", "mode"), [(256, "quantized"), (257, "float")])
def test_more_values_than_can_be_summed_exactly_are_refused_before_training(rows, mode):
    model = keras.Sequential([keras.Input((rows, 256)), layers.LayerNormalization(axis=(1, 2))])
    entry = kqat.plan(model).layers[-1]
    assert entry.mode == mode
    assert ("more than 65536" in entry.reason) is (mode == "float")


@pytest.mark.parametrize("case", ["layer", "rms", "groups", "unit"])
def test_there_is_no_activation_inside(case):
    layer, shape = layer_of(case)
    step = Step(layer, (grid(),), grid(), "relu6", args=(Input(0),))
    with pytest.raises(UnsupportedError, match="cannot carry an activation"):
        harness.keras_levels(lowering_for(layer), step, np.zeros(shape, np.float32))
