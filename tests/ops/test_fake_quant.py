"""Fake quantization: bits against the NumPy reference, gradients against formulas written out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from kqat.core import reference
from kqat.core.grid import Grid
from kqat.ops import covering_fake_quant, fake_quant, learned_fake_quant, pact, round_to_grid
from tests.gradients import compiled, gradient

# Subnormal numbers are left out: compilers' kernels take them for 0, which moves none across a step.
VALUES = arrays("float32", (64,), elements=st.floats(-50, 50, width=32, allow_subnormal=False))
SCALES = st.floats(2.0**-10, 4, width=32)
BOUNDS = st.sampled_from([(-128, 127), (-7, 7), (0, 15), (0, 3), (-1, 1), (-37, 218), (-32767, 32767)])


def numpy(x):
    return np.asarray(ops.convert_to_numpy(x))


def data(seed=0, shape=(40, 6), spread=4.0):
    return np.random.default_rng(seed).normal(0, spread, shape).astype("float32")


@settings(max_examples=25)
@given(VALUES, SCALES, BOUNDS)
def test_forward_is_the_reference(x, scale, bounds):
    expected = reference.fake_quant(x, Grid(np.float32(scale), *bounds))
    np.testing.assert_array_equal(numpy(fake_quant(x, scale, *bounds)), expected)
    np.testing.assert_array_equal(numpy(covering_fake_quant(x, scale, *bounds)), expected)
    np.testing.assert_array_equal(numpy(learned_fake_quant(x, scale, *bounds)), expected)


@pytest.mark.parametrize("op", [fake_quant, covering_fake_quant, learned_fake_quant])
@pytest.mark.parametrize("bounds", [(-128.0, 127.0), (0.0, 15.0)])
@pytest.mark.parametrize("shape", [(), (1, 6)])
def test_compiled_forward_is_the_reference(op, bounds, shape):
    x = data(shape=(2000, 6))
    scale = np.random.default_rng(1).uniform(0.01, 0.3, shape).astype("float32")
    run = compiled(lambda x, scale: op(x, scale, *bounds))
    y = numpy(run(ops.convert_to_tensor(x), ops.convert_to_tensor(scale)))
    np.testing.assert_array_equal(y, reference.fake_quant(x, Grid(scale, *bounds)))


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 0.0234375])
def test_a_constant_scale_compiles_to_the_same_bits(scale):
    x = data(shape=(2000, 6))
    y = numpy(compiled(lambda x: fake_quant(x, scale, -128, 127))(ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(y, reference.fake_quant(x, Grid(np.float32(scale), -128, 127)))


@settings(max_examples=25)
@given(VALUES, SCALES, BOUNDS)
def test_idempotent_monotonic_and_on_the_grid(x, scale, bounds):
    x = np.sort(x)
    y = numpy(fake_quant(x, scale, *bounds))
    levels = numpy(round_to_grid(ops.convert_to_tensor(x), np.float32(scale), *map(np.float32, bounds)))
    assert np.all(np.diff(y) >= 0)
    assert np.all((levels == np.rint(levels)) & (levels >= bounds[0]) & (levels <= bounds[1]))
    np.testing.assert_array_equal(y, levels * np.float32(scale))
    np.testing.assert_array_equal(numpy(fake_quant(y, scale, *bounds)), y)


@settings(max_examples=25)
@given(VALUES, SCALES, BOUNDS)
def test_gradient_passes_inside_and_stops_outside(x, scale, bounds):
    scale = np.float32(scale)
    dy = data(7, x.shape)
    dx, dscale = gradient(lambda x, s: fake_quant(x, s, *bounds), x, scale, upstream=dy)
    low, high = np.float32(bounds[0]) * scale, np.float32(bounds[1]) * scale
    np.testing.assert_array_equal(dx, np.where((x >= low) & (x <= high), dy, 0))
    assert dscale == 0


def test_covering_gradient_passes_everywhere():
    x, dy = data(), data(1)
    (dx,) = gradient(lambda x: covering_fake_quant(x, 0.1, -7, 7), x, upstream=dy)
    np.testing.assert_array_equal(dx, dy)


@pytest.mark.parametrize("shape", [(), (1, 6), (6,), (40, 1)])
@pytest.mark.parametrize("bounds", [(-8, 7), (0, 15)])
def test_learned_gradient_is_that_of_the_paper(shape, bounds):
    x, dy = data(spread=8), data(1)
    scale = np.random.default_rng(2).uniform(0.5, 1.5, shape).astype("float32")
    dx, dscale = gradient(lambda x, s: learned_fake_quant(x, s, *bounds, 0.25), x, scale, upstream=dy)
    v = x * (1 / scale)
    np.testing.assert_array_equal(dx, np.where((v >= bounds[0]) & (v <= bounds[1]), dy, 0))
    slope = np.where(v <= bounds[0], bounds[0], np.where(v >= bounds[1], bounds[1], np.rint(v) - v))
    terms = dy.astype("float64") * slope * 0.25
    aligned = (1,) * (x.ndim - len(shape)) + shape
    axes = tuple(i for i, size in enumerate(aligned) if size == 1)
    # float32 sums of up to 240 terms: each addition may round by half an ulp of the sum of magnitudes.
    bound = 240 * np.finfo("float32").eps * np.abs(terms).sum(axis=axes).max()
    np.testing.assert_allclose(dscale, terms.sum(axis=axes).reshape(shape), rtol=0, atol=bound)
    assert dscale.shape == shape


def test_learned_gradient_is_the_slope_of_the_clipped_part():
    """Where every value saturates the output is linear in the scale, so the gradient is exact."""
    x = np.array([100.0, -100.0, 50.0], "float32")
    _, dscale = gradient(lambda x, s: learned_fake_quant(x, s, -8, 7), x, np.float32(0.5))
    assert dscale == 7 - 8 + 7


@pytest.mark.parametrize("bounds", [(0, 15), (-7, 7)])
def test_pact_forward_is_the_reference(bounds):
    x = data()
    expected = reference.pact(x, 3.3, bits=4, signed=bounds[0] < 0)
    np.testing.assert_array_equal(numpy(pact(x, 3.3, *bounds)), expected)
    # The bounds are arguments: XLA replaces the division by a constant by a product.
    y = numpy(
        compiled(pact)(*(ops.convert_to_tensor(np.asarray(one, "float32")) for one in (x, 3.3, *bounds)))
    )
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("signed", [False, True])
def test_pact_gradient_is_that_of_the_paper(signed):
    x = np.array([-9, -3, -2, -1, 0, 1, 2.5, 3, 9], "float32")
    dy = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256], "float32")
    bounds = (-7, 7) if signed else (0, 15)
    dx, dalpha = gradient(lambda x, a: pact(x, a, *bounds), x, np.float32(3), upstream=dy)
    if signed:
        np.testing.assert_array_equal(dx, [0, 0, 4, 8, 16, 32, 64, 0, 0])
        assert dalpha == 128 + 256 - 1 - 2
    else:
        np.testing.assert_array_equal(dx, [0, 0, 0, 0, 16, 32, 64, 0, 0])
        assert dalpha == 128 + 256


@pytest.mark.parametrize("op", [fake_quant, learned_fake_quant])
def test_compiled_gradient_is_the_eager_one(op):
    x, dy = data(), data(1)
    (eager,) = gradient(lambda x: op(x, 0.1, -7, 7), x, upstream=dy)
    (through_compiler,) = gradient(compiled(lambda x: op(x, 0.1, -7, 7)), x, upstream=dy)
    np.testing.assert_array_equal(through_compiler, eager)
    assert 0 < np.count_nonzero(eager) < eager.size
