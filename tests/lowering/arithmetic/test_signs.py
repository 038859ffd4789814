"""Signs between integer kernels: LiteRT computes exactly the signs of golden sums, all of it delegated."""

import keras
import numpy as np
import pytest

from kqat.core.grid import Grid
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.arithmetic.fold import Norm
from kqat.lowering.arithmetic.signs import SIGNS, are_signs, fold_signs, odd_bias
from kqat.lowering.base import Step, Weights
from kqat.lowering.registry import lowering_for
from kqat.program.writer import Writer
from kqat_runtime.running.runtime import Runtime
from tests.few import few_on_jax

RNG = np.random.default_rng(0)
L = keras.layers
NUMBERS = Grid(np.float32(0.037), np.float32(-100), np.float32(155))  # an 8-bit grid around no center
LAYERS = {
    "conv": lambda: L.Conv2D(7, 3, use_bias=False),
    "same": lambda: L.Conv2D(7, 3, padding="same", use_bias=False),
    "strided": lambda: L.Conv2D(7, 3, strides=2, padding="same", use_bias=False),
    "grouped": lambda: L.Conv2D(6, 3, groups=3, use_bias=False),
    "depthwise": lambda: L.DepthwiseConv2D(3, use_bias=False),
    "depthwise strided": lambda: L.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False),
    "row": lambda: L.Conv1D(5, 3, padding="causal", use_bias=False),
    "depthwise row": lambda: L.DepthwiseConv1D(3, use_bias=False),
    "dense": lambda: L.Dense(11, use_bias=False),
}


def shape_for(name):
    return (9,) if name == "dense" else (8, 6) if "row" in name else (8, 7, 6)


def run(layer, shape, grid, weights):
    """Returns the signs of the lowering's forward and of the file, and how the file runs."""
    lowering = lowering_for(layer)
    step = Step(layer, (grid,), SIGNS, "sign", weights)
    levels = RNG.choice([-2, 2], (5, *shape)) if are_signs(grid) else RNG.integers(-100, 156, (5, *shape))
    x = (levels * grid.scale).astype(np.float32)
    forward = keras.ops.convert_to_numpy(lowering.forward(step, keras.ops.convert_to_tensor(x)))
    writer = Writer()
    port = writer.activation("x", (None, *shape), grid, 0 if are_signs(grid) else -28)
    file = Runtime(to_tflite(writer.program([port], [lowering.emit(writer, step, [port], "y")])))
    (found,) = file.run([x])
    return forward, found, file.delegation


def weights_for(layer, shape, grid, bias, low=-1, high=1):
    layer.build((None, *shape))
    values = RNG.integers(low, high + 1, layer.kernel.shape).astype(np.float32)
    if (low, high) == (-1, 1):
        values = RNG.choice(np.float32([-1, 1]), layer.kernel.shape)
    channels = values.size if isinstance(layer, L.DepthwiseConv1D | L.DepthwiseConv2D) else values.shape[-1]
    channels = values.shape[-2] * values.shape[-1] if channels == values.size else channels
    scale = np.full(channels, 1 / grid.scale, np.float32)
    found = None if bias is None else RNG.integers(-bias, bias + 1, channels).astype(np.float32)
    return Weights(values, scale, found, 1)


@pytest.mark.parametrize("bias", [None, 4])
@pytest.mark.parametrize("name", few_on_jax(LAYERS, "strided", "grouped", "depthwise", "row", "dense"))
def test_signs_of_signs_are_one_kernel(name, bias):
    layer, shape = LAYERS[name](), shape_for(name)
    forward, found, delegation = run(layer, shape, SIGNS, weights_for(layer, shape, SIGNS, bias))
    assert set(np.unique(forward)) == {-1, 1}
    np.testing.assert_array_equal(found, forward)
    assert delegation.whole


@pytest.mark.parametrize("name", LAYERS)
def test_signs_of_numbers_take_a_second_kernel(name):
    layer, shape = LAYERS[name](), shape_for(name)
    weights = weights_for(layer, shape, NUMBERS, 300, low=-127, high=127)
    forward, found, delegation = run(layer, shape, NUMBERS, weights)
    assert set(np.unique(forward)) == {-1, 1}
    np.testing.assert_array_equal(found, forward)
    assert delegation.whole


@pytest.mark.parametrize("shape", [(256,), (1, 256), (1, 1, 256)])
@pytest.mark.parametrize("zero_point", [-128, -3, 127])
def test_sign_of_every_code(shape, zero_point):
    """The kernel behind a `SignInput`: a product of 2 and an odd bias."""
    layer = L.Rescaling(1.0)
    grid = Grid(np.float32(0.11), np.float32(-128 - zero_point), np.float32(127 - zero_point))
    levels = np.arange(-128, 128).reshape(1, *shape) - zero_point
    ones = np.ones(256, np.float32)
    step = Step(layer, (grid,), SIGNS, "sign", Weights(2 * ones, ones / grid.scale, 0 * ones, 8))
    layer.build((None, *shape))
    writer = Writer()
    port = writer.activation("x", (None, *shape), grid, zero_point)
    out = lowering_for(layer).emit(writer, step, [port], "y")
    (found,) = Runtime(to_tflite(writer.program([port], [out]))).run([(levels + zero_point).astype(np.int8)])
    np.testing.assert_array_equal(found, np.where(levels >= 0, 1.0, -1.0))
    forward = lowering_for(layer).forward(step, keras.ops.convert_to_tensor(levels * grid.scale))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(forward), found)


def test_an_odd_bias_changes_no_sign():
    sums = np.arange(-10, 11, 2)[:, np.newaxis]
    bias = np.arange(-7, 8)
    odd = odd_bias(bias)
    assert np.all(odd % 2 == 1)
    np.testing.assert_array_equal(sums + bias >= 0, sums + odd > 0)


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_that_of_real_batchnorm(seed):
    """Whole sums pass the folded threshold where their normalized values are not negative."""
    rng = np.random.default_rng(seed)
    gain, mean, beta = (rng.normal(size=40).astype(np.float32) for _ in range(3))
    values, scale = rng.choice(np.float32([-1, 1]), (9, 40)), rng.uniform(0.1, 2, (1, 40)).astype(np.float32)
    weights = fold_signs(values, scale, None, Norm(gain, mean, beta), np.float32(0.5), 1)
    x = rng.choice([-1.0, 1.0], (500, 9))
    real = (x @ (values * scale).astype(np.float64) - mean) * gain + beta
    folded = 2 * x @ keras.ops.convert_to_numpy(weights.values) + keras.ops.convert_to_numpy(weights.bias)
    clear = np.abs(real) > 0.01  # the parts of the bias are rounded to 1/256 of a step of at most 2
    assert np.mean(clear) > 0.9
    np.testing.assert_array_equal((folded >= 0)[clear], (real >= 0)[clear])


def test_a_gain_of_0_leaves_the_sign_of_beta():
    zero, beta = np.zeros(3, np.float32), np.float32([-1, 0, 1])
    weights = fold_signs(
        np.ones((9, 3), np.float32), np.ones((1, 3), np.float32), None, Norm(zero, zero, beta), 0.5, 1
    )
    signs = np.where(18 + keras.ops.convert_to_numpy(weights.bias) >= 0, 1, -1)
    np.testing.assert_array_equal(signs, [-1, 1, 1])
