"""What the quantizers of binary networks have beyond the contract: names, Larq's configurations, learning."""

import keras
import numpy as np
import pytest
from keras import ops

from kqat import quantizers
from kqat.core import binary_reference
from tests.gradients import gradient
from tests.quantizers.cases import data, numpy, numpy_grid

NAMES = {
    "ste_sign": quantizers.SteSign,
    "approx_sign": quantizers.ApproxSign,
    "swish_sign": quantizers.SwishSign,
    "ste_heaviside": quantizers.SteHeaviside,
    "magnitude_aware_sign": quantizers.MagnitudeAwareSign,
    "ste_tern": quantizers.SteTern,
    "dorefa_quantizer": quantizers.DoReFa,
    "rsign": quantizers.RSign,
    "ir_sign": quantizers.IRSign,
}


@pytest.mark.parametrize("name", NAMES)
def test_names_and_class_names(name):
    assert type(quantizers.get(name, bits=8)) is NAMES[name]
    assert type(quantizers.get(NAMES[name].__name__)) is NAMES[name]


def test_configurations_of_larq():
    config = {"name": "s", "trainable": True, "dtype": "float32", "clip_value": None}
    larq = {
        "module": "larq.quantizers",
        "class_name": "SteSign",
        "config": config,
        "registered_name": "SteSign",
    }
    assert quantizers.get(larq).clip_value is None
    made = quantizers.get(
        {"class_name": "DoReFa", "config": {"k_bit": 4, "mode": "weights", "dtype": "float32"}}
    )
    assert (made.bits, made.mode) == (4, "weights")
    assert quantizers.get({"class_name": "NoOp", "config": {"precision": 1}}).bits == 1


@pytest.mark.parametrize("make", [quantizers.SteSign, quantizers.SteTern])
def test_the_width_is_fixed(make):
    with pytest.raises(ValueError, match=r"Received: bits=8\. Use [12]\."):
        make().set_bits(8)


def test_magnitude_aware_sign_scales_the_last_axis_and_lets_no_gradient_through_the_scale():
    w, dy = data(3, (3, 3, 2, 5)), data(4, (3, 3, 2, 5))
    quantizer = quantizers.MagnitudeAwareSign()
    scale = numpy_grid(quantizer, w).scale
    # The mean of 18 numbers in another order.
    np.testing.assert_allclose(scale, np.abs(w).mean((0, 1, 2), keepdims=True), rtol=1e-5)
    np.testing.assert_array_equal(gradient(quantizer, w, upstream=dy)[0], dy * scale * (np.abs(w) <= 1))


def test_ternary_weight_networks_take_the_threshold_from_the_mean():
    w = np.array([0.1, -0.2, 0.3, -1.0], "float32")
    quantizer = quantizers.SteTern(ternary_weight_networks=True)
    assert float(quantizer.threshold(ops.convert_to_tensor(w))) == pytest.approx(0.28, rel=1e-6)
    np.testing.assert_array_equal(numpy(quantizer(w)), [0, 0, 1, -1])


@pytest.mark.parametrize("bits", [1, 2, 3, 4])  # with many levels some weight is within a rounding of a tie
def test_dorefa_weights_reach_both_ends(bits):
    w = data(5)
    quantizer = quantizers.DoReFa(bits, mode="weights")
    y = numpy(quantizer(w))
    assert (y.min(), y.max()) == (-1, 1)
    assert len(np.unique(y)) <= 2**bits
    np.testing.assert_array_equal(
        numpy(quantizer.to_levels(w)), binary_reference.dorefa_levels(w, bits, "weights")
    )


def test_dorefa_gradients():
    x = np.array([-0.5, 0, 0.3, 1, 1.5], "float32")
    dy = np.array([1, 2, 3, 4, 5], "float32")
    np.testing.assert_array_equal(gradient(quantizers.DoReFa(2), x, upstream=dy)[0], [0, 2, 3, 4, 0])
    (dw,) = gradient(quantizers.DoReFa(2, mode="weights"), x, upstream=dy)
    limited = np.tanh(x.astype("float64"))
    # float32 tanh of the backends: a few units in the last place.
    np.testing.assert_allclose(dw, dy * (1 - limited**2) / np.abs(limited).max(), rtol=1e-5)
    assert np.all(gradient(quantizers.DoReFa(2, mode="weights"), 0 * x)[0] == 1)


@pytest.mark.parametrize(("argument", "value"), [("mode", "kernel"), ("k_bit", 0)])
def test_dorefa_checks_its_arguments(argument, value):
    with pytest.raises(ValueError, match="Received"):
        quantizers.DoReFa(**{argument: value})


def test_thresholds_of_rsign_learn_for_each_channel():
    quantizer, x, dy = quantizers.RSign(), data(6, (4, 3)), data(7, (4, 3))
    quantizer.build((None, 3))
    threshold = np.array([[0.5, -0.25, 0]], "float32")
    quantizer.threshold.assign(threshold)
    np.testing.assert_array_equal(numpy(quantizer(x)), np.where(x >= threshold, 1, -1))
    distance = np.abs(x - threshold)
    slope = np.where(distance <= 1, (1 - distance) * 2, 0)
    (dx,) = gradient(quantizer, x, upstream=dy)
    np.testing.assert_array_equal(dx, dy * slope)
    model = keras.Sequential([keras.Input((3,)), quantizer])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    y = np.zeros((4, 3), "float32")
    expected = threshold + (2 * numpy(quantizer(x)) / x.size * slope).sum(0)
    model.fit(x, y, batch_size=4, verbose=0)
    # Twelve products, summed in the backend's order.
    np.testing.assert_allclose(numpy(quantizer.threshold), expected, rtol=1e-5, atol=1e-6)


def test_ir_sign_balances_weights_and_scales_by_a_power_of_two():
    w = data(8, (3, 3, 4, 6)) + 2
    quantizer = quantizers.IRSign(axis=(-1,))
    y, scale = numpy(quantizer(w)), numpy_grid(quantizer, w).scale
    np.testing.assert_array_equal(y, binary_reference.ir_sign(w, (-1,)))
    assert np.all(np.exp2(np.rint(np.log2(scale))) == scale)
    assert np.all(np.abs((y > 0).mean((0, 1, 2)) - 0.5) < 0.2)


def test_ir_sign_steepness_is_that_of_the_paper():
    x, dy = data(9, (50,), 0.5), np.ones(50, "float32")
    quantizer = quantizers.IRSign()
    for t in (0.1, 1.0, 10.0):
        quantizer.set_steepness(t)
        k = max(1 / t, 1)
        expected = k * t * (1 - np.tanh(t * x.astype("float64")) ** 2)
        # float32 tanh of the backends, subtracted from 1.
        np.testing.assert_allclose(gradient(quantizer, x, upstream=dy)[0], expected, atol=1e-5)


def test_ir_sign_of_equal_weights_is_finite():
    w = np.full((4, 3), 0.5, "float32")
    quantizer = quantizers.IRSign(axis=(-1,))
    assert np.all(numpy(quantizer(w)) == 1)
    assert np.all(np.isfinite(gradient(quantizer, w, upstream=data(1, (4, 3)))[0]))


@pytest.mark.parametrize("t", [0, -1])
def test_a_steepness_is_positive(t):
    with pytest.raises(ValueError, match="Use 0.1 to 10"):
        quantizers.IRSign(t=t)


def test_no_op_says_how_many_bits_and_changes_nothing():
    quantizer, x = quantizers.NoOp(precision=1), data()
    np.testing.assert_array_equal(numpy(quantizer(x)), x)
    np.testing.assert_array_equal(gradient(quantizer, x)[0], np.ones_like(x))
    assert numpy_grid(quantizer).scale == 1
    copy = quantizers.deserialize(quantizers.serialize(quantizers.NoOp(precision=4)))
    assert copy.bits == 4
    with pytest.raises(ValueError, match="precision=4"):
        copy.grid()


def test_flips_are_counted_from_step_to_step():
    quantizer = quantizers.SteSign(metrics=["flip_ratio"])
    for values in ([1, 1, 1, 1], [1, 1, 1, -1], [-1, -1, 1, 1]):
        quantizer(np.array(values, "float32"), training=True)
    quantizer(np.array([-1, -1, -1, -1], "float32"))  # inference does not count
    assert quantizer.flips.ratio == pytest.approx((0.25 + 0.75) / 2)
    quantizer.flips.reset()
    assert quantizer.flips.ratio == 0
    quantizer(np.array([1, -1, 1, 1], "float32"), training=True)
    assert quantizer.flips.ratio == 0.25


def test_metrics_are_checked():
    with pytest.raises(ValueError, match=r"Use metrics=\['flip_ratio'\]"):
        quantizers.SteSign(metrics=["flips"])
    with pytest.raises(ValueError, match="one shape"):
        quantizers.SteSign(metrics=["flip_ratio"]).build((None, 3))
