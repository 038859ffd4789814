"""Sign: scales and the gradient of XNOR-Net."""

import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat import quantizers
from kqat.core import reference
from tests.gradients import gradient
from tests.quantizers.cases import data, numpy, numpy_grid


@pytest.mark.parametrize("axis", [None, (-1,)])
def test_scale_is_the_mean_magnitude(axis):
    w = data()
    grid = numpy_grid(quantizers.Sign(axis=axis), w)
    # float32 means of up to 2,100 numbers, summed in the backend's order.
    np.testing.assert_allclose(grid.scale, reference.sign_scale(w, axis), rtol=1e-5)
    assert (grid.qmin, grid.qmax) == (-1, 1)


def test_unscaled_output_is_plus_and_minus_one():
    x = np.array([-3, -0.0, 0.2], "float32")
    np.testing.assert_array_equal(numpy(quantizers.Sign(scaled=False)(ops.convert_to_tensor(x))), [-1, 1, 1])


def test_gradient_is_that_of_xnor_net():
    w = np.array([[0.5, -2.0], [-0.25, 0.5]], "float32")
    dy = np.array([[1, 2], [4, 8]], "float32")
    (dw,) = gradient(quantizers.Sign(axis=-1), w, upstream=dy)
    scale = np.array([0.375, 1.25])
    signs = np.where(w >= 0, 1, -1)
    through_sign = scale * dy * (np.abs(w) <= 1)
    through_scale = signs * (dy * signs).sum(axis=0) / 2
    np.testing.assert_array_equal(dw, through_sign + through_scale)


@pytest.mark.parametrize("bits", [2, 8])
def test_there_is_one_bit_only(bits):
    with pytest.raises(ValueError, match=f"Received: bits={bits}"):
        quantizers.Sign(bits)
    with pytest.raises(ValueError, match=f"Received: bits={bits}"):
        quantizers.Sign().set_bits(bits)


@pytest.mark.parametrize("axis", [None, (-1,)])
def test_levels_are_signs_and_give_what_training_sees(axis):
    """Also for weights nearer to 0 than to the scale, which rounding would take for 0."""
    w = ops.convert_to_tensor(np.array([[0.01, -3.0], [-0.02, 0.1]], "float32"))
    quantizer = quantizers.Sign(axis=axis)
    levels = numpy(quantizer.to_levels(w))
    np.testing.assert_array_equal(levels, [[1, -1], [-1, 1]])
    np.testing.assert_array_equal(levels * numpy(quantizer.grid(w).scale), numpy(quantizer(w)))


@pytest.mark.slow
def test_binary_weights_train_in_a_compiled_step():

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(4) for _ in range(3))])
    q = kqat.quantize(model, bits=(1, 8))
    q.compile("sgd", "mse")
    before = [np.copy(keras.ops.convert_to_numpy(v)) for v in q.trainable_variables]
    q.fit(x, np.zeros((32, 4)), verbose=0)
    after = [keras.ops.convert_to_numpy(v) for v in q.trainable_variables]
    assert all(np.any(a != b) for a, b in zip(after, before, strict=True))
