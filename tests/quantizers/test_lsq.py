"""LSQ: how the step starts, what its gradient is, and that bits change it as they should."""

import keras
import numpy as np
import pytest
from keras import ops

from kqat import quantizers
from kqat.core import reference
from tests.gradients import gradient
from tests.quantizers.cases import data, numpy, numpy_grid

# float32 sums of a few hundred terms, in an order that is the backend's.
SUM = 1e-5


def test_activations_start_from_the_first_training_batch_only():
    quantizer, first = quantizers.LSQ(4), data(0)
    quantizer(ops.convert_to_tensor(first), training=True)
    scale = numpy(quantizer.scale)
    np.testing.assert_allclose(scale, reference.lsq_scale(first, numpy_grid(quantizer).qmax), rtol=SUM)
    quantizer(ops.convert_to_tensor(data(1) * 5), training=True)
    assert numpy(quantizer.scale) == scale


@pytest.mark.parametrize(
    ("signed", "shift", "qmin"), [(None, 0, -6), (None, 50, 0), (True, 50, -8), (False, 0, 0)]
)
def test_the_first_batch_decides_the_zero_only_when_asked(signed, shift, qmin):
    quantizer = quantizers.LSQ(4, signed=signed)
    quantizer(ops.convert_to_tensor(data() + shift), training=True)
    grid = numpy_grid(quantizer)
    assert (grid.qmin, grid.qmax) == (qmin, qmin + 15)


def test_levels_are_shared_by_root_mean_square():
    quantizer, x = quantizers.LSQ(4), data()
    quantizer(ops.convert_to_tensor(x), training=True)
    low, high = (np.sqrt(np.mean(np.square(part))) for part in (np.minimum(x, 0), np.maximum(x, 0)))
    assert numpy_grid(quantizer).qmin == -np.rint(15 * low / (low + high))


def test_weights_start_per_channel_and_zero_channels_get_one():
    quantizer, w = quantizers.LSQ(4, axis=-1, narrow_range=True), data()
    w[..., 2] = 0
    quantizer.initialize(w)
    expected = reference.lsq_scale(w, 7, (-1,))
    np.testing.assert_array_equal(numpy(quantizer.scale), expected)
    assert expected.shape == (1, 1, 6)
    assert expected[0, 0, 2] == 1


@pytest.mark.parametrize(
    ("quantizer", "count"),
    [(quantizers.LSQ, 7 * 6), (lambda bits: quantizers.LSQ(bits, axis=-1, narrow_range=True), 50 * 7)],
    ids=["activations", "weights"],
)
def test_gradient_moves_the_scale_as_if_it_were_the_variable(quantizer, count):
    quantizer, x, dy = quantizer(4), data(), data(1)
    quantizer(ops.convert_to_tensor(x), training=True)
    base, grid = numpy(quantizer.base), numpy_grid(quantizer)

    def output(x, ratio):
        with keras.StatelessScope(state_mapping=[(quantizer.ratio, ratio)]):
            return quantizer(x)

    _, dratio = gradient(output, x, np.ones_like(base), upstream=dy)
    v = x.astype("float64") / grid.scale
    slope = np.where(v <= grid.qmin, grid.qmin, np.where(v >= grid.qmax, grid.qmax, np.rint(v) - v))
    axes = (0, 1) if base.ndim else None
    dscale = (dy * slope).sum(axis=axes, keepdims=base.ndim > 0) / np.sqrt(count * grid.qmax)
    # A descent step of `ratio` moves scale = base * ratio by base * dratio; the paper moves it by dscale.
    np.testing.assert_allclose(base * dratio, dscale, rtol=1e-3, atol=1e-4)
    assert np.abs(dscale).min() > 1e-2


def test_features_are_counted_at_run_time_where_the_shape_is_not_known():
    def trained(length):
        quantizer = quantizers.LSQ(4)
        model = keras.Sequential([keras.Input((length, 6)), quantizer, keras.layers.GlobalAveragePooling1D()])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(data(), data(1, (50, 6)), epochs=2, batch_size=25, shuffle=False, verbose=0)
        return numpy(quantizer.ratio)

    known, unknown = trained(7), trained(None)
    assert known != 1
    np.testing.assert_allclose(unknown, known, rtol=SUM)


@pytest.mark.parametrize(
    ("signed", "low", "high", "qmin", "scale"),
    [
        (None, 0, 3, 0, 3 / 15),
        (None, -4, 11, -4, 1),
        (None, -5, 25, -3, 2),  # level -2.5 for -5: half away from 0
        (False, -4, 30, 0, 2),
        (True, -4, 7, -8, 1),
        (True, -8, 3.5, -8, 1),
    ],
)
def test_set_range_fits_the_range(signed, low, high, qmin, scale):
    quantizer = quantizers.LSQ(4, signed=signed)
    quantizer.set_range(low, high)
    assert quantizer.is_calibrated
    grid = numpy_grid(quantizer)
    assert grid.qmin == qmin
    np.testing.assert_allclose(grid.scale, scale, rtol=np.finfo("float32").eps)


def test_a_range_set_before_the_first_call_survives_saving(tmp_path):
    quantizer = quantizers.LSQ(4)
    quantizer.set_range(-4, 11)
    model = keras.Sequential([keras.Input((5,)), quantizer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[0]
    grid = numpy_grid(loaded)
    assert (grid.scale, grid.qmin) == (1, -4)
    assert loaded.is_calibrated


def test_one_range_for_many_channels_is_refused_before_the_shape_is_known():
    with pytest.raises(ValueError, match=r"Received: axis=\(-1,\)"):
        quantizers.LSQ(4, axis=-1).set_range(-1, 1)


def test_the_step_stays_positive():
    quantizer = quantizers.LSQ(4, signed=False)
    quantizer.set_range(0, 1)
    model = keras.Sequential([keras.Input((6,)), quantizer])
    model.compile(keras.optimizers.SGD(1e6), "mse")
    x = np.abs(data(0, (32, 6)))
    model.fit(x, -x, verbose=0)  # the loss wants outputs below 0, hence a step below 0
    assert 0 < numpy(quantizer.ratio) < 0.01
    assert numpy(quantizer.scale) > 0


def test_one_bit_signed_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"Received: bits=1\. Use 2 to 16\. For 1 bit use signed=False"):
        quantizers.LSQ(1)


@pytest.mark.parametrize(("low", "high"), [(-2.0, -0.5), (0.5, 2.0), (-1.0, 2.0)])
def test_ranges_on_one_side_of_0_train(low, high):
    quantizer = quantizers.LSQ(bits=2)
    quantizer.set_range(low, high)
    x = np.linspace(-3, 3, 64, dtype=np.float32).reshape(4, 16)
    quantizer(x)
    ratio = quantizer.ratio

    def forward(x, ratio):
        with keras.StatelessScope(state_mapping=[(quantizer.ratio, ratio)]):
            return quantizer.fake_quantize(x)

    dx, dratio = gradient(forward, x, np.ones(ratio.shape, np.float32))
    assert np.all(np.isfinite(dx))
    assert np.all(np.isfinite(dratio))
    assert np.any(dratio != 0)
