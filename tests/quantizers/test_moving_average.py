"""Moving averages: bit for bit the reference's recursion, on every backend."""

import keras
import numpy as np
import pytest
from keras import ops

from kqat import quantizers
from kqat.core import reference
from tests.gradients import compiled
from tests.quantizers.cases import data, numpy, numpy_grid


@pytest.mark.parametrize("decay", [0.0, 0.8, 0.99])
def test_range_is_the_reference(decay):
    quantizer, state = quantizers.MovingAverage(8, decay=decay), (0, 0, 0)
    for seed in range(10):
        batch = data(seed)
        quantizer(ops.convert_to_tensor(batch), training=True)
        state = reference.moving_average(state, batch, decay)
    assert (numpy(quantizer.low), numpy(quantizer.high), numpy(quantizer.count)) == state
    expected = reference.nudged_grid(*state[:2])
    assert numpy_grid(quantizer) == expected


def test_unsigned_pins_the_lower_end():
    quantizer = quantizers.MovingAverage(8, signed=False)
    quantizer(ops.convert_to_tensor(data()), training=True)
    grid = numpy_grid(quantizer)
    assert (grid.qmin, grid.qmax) == (0, 255)
    assert grid.scale == data().max() / np.float32(255)


def test_symmetric_has_zero_point_zero():
    quantizer = quantizers.MovingAverage(16, symmetric=True)
    quantizer.set_range(-2, 1)
    grid = numpy_grid(quantizer)
    assert (grid.qmin, grid.qmax) == (-32768, 32767)
    assert grid.scale == np.float32(2) / np.float32(32767)


def test_training_continues_slowly_from_a_calibrated_range():
    quantizer = quantizers.MovingAverage(8, decay=0.75)
    quantizer.set_range(-1, 1)
    quantizer(ops.convert_to_tensor(np.array([-5.0, 5.0], "float32")), training=True)
    # Outwards by a divisor of 1 (a small batch), but by no more than the width of the range.
    assert (numpy(quantizer.low), numpy(quantizer.high)) == (-3, 3)
    quantizer(ops.convert_to_tensor(np.array([-1.0, 1.0], "float32")), training=True)
    assert 2.99 < numpy(quantizer.high) < 3  # and slowly back


def test_compiled_steps_are_the_eager_ones():
    quantizer, state = quantizers.MovingAverage(8, decay=0.8), (0, 0, 0)

    def step(x, variables):
        _, updated = quantizer.stateless_call([], variables, x, training=True)
        return updated

    run = compiled(step) if keras.backend.backend() == "jax" else None
    if run is None:  # stateful backends: the compiled function assigns by itself
        inner = compiled(lambda x: quantizer(x, training=True))
    quantizer.build(data().shape)
    variables = [v.value for v in quantizer.non_trainable_variables]
    for seed in range(6):
        batch = data(seed)
        state = reference.moving_average(state, batch, 0.8)
        if run is None:
            inner(ops.convert_to_tensor(batch))
        else:
            variables = run(ops.convert_to_tensor(batch), variables)
    if run is not None:
        for variable, value in zip(quantizer.non_trainable_variables, variables, strict=True):
            variable.assign(value)
    assert (numpy(quantizer.low), numpy(quantizer.high), numpy(quantizer.count)) == state


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_decay_is_checked(decay):
    with pytest.raises(ValueError, match=f"Received: decay={decay}"):
        quantizers.MovingAverage(decay=decay)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("first", [True, False])
def test_a_batch_that_is_not_finite_changes_nothing(bits, worst, first):
    makers = (
        quantizers.MovingAverage,
        quantizers.LSQ,
        quantizers.PACT,
        lambda b: quantizers.LSQ(b, axis=(-1,)),
    )
    for make in makers:
        quantizer, good = make(bits), np.abs(data())
        if not first:
            quantizer(ops.convert_to_tensor(good), training=True)
        else:
            quantizer.build(good.shape)
        before = [numpy(v) for v in quantizer.variables]
        bad = good.copy()
        bad[0] = worst
        compiled(lambda x, q=quantizer: q(x, training=True))(ops.convert_to_tensor(bad)) if (
            keras.backend.backend() != "jax"
        ) else quantizer(ops.convert_to_tensor(bad), training=True)
        for variable, value in zip(quantizer.variables, before, strict=True):
            np.testing.assert_array_equal(numpy(variable), value, err_msg=variable.path)
        quantizer(ops.convert_to_tensor(good), training=True)
        assert quantizer.is_calibrated
        assert np.isfinite(numpy_grid(quantizer).scale).all()


def _fitted(samples, size, epochs=2, state=(0, 0, 0)):
    """Returns the state after training, by the reference, which the quantizers follow bit for bit."""
    for start in [*range(0, len(samples), size)] * epochs:
        state = reference.moving_average(state, samples[start : start + size])
    return state


def _error(samples, low, high):
    quantizer = quantizers.MovingAverage(8)
    quantizer.set_range(low, high)
    return np.square(numpy(quantizer(ops.convert_to_tensor(samples))) - samples).mean()


@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
@pytest.mark.parametrize("size", [8, 32])
def test_small_batches_give_the_range_of_many_samples(draw, size):
    samples = getattr(np.random.default_rng(0), draw)(size=(1024, 24)).astype("float32")
    error = _error(samples, *_fitted(samples, size)[:2])
    assert 10 * np.log10(error / _error(samples, samples.min(), samples.max())) < 1.2


def test_ranges_grow_within_batches_and_shrink_within_samples():
    samples = np.random.default_rng(0).normal(size=(512, 8)).astype("float32")
    state = _fitted(samples, 8)
    grown = _fitted(samples[:128] * 10, 8, epochs=1, state=state)
    assert grown[1] > 7 * state[1]
    shrunk = _fitted(samples, 64, epochs=60, state=grown)
    assert shrunk[1] < 1.5 * state[1]


def test_an_outlier_widens_the_range_by_its_width_at_most():
    samples = np.random.default_rng(0).normal(size=(512, 8)).astype("float32")
    state = _fitted(samples, 8)
    after = reference.moving_average(state, np.full((8, 8), 1e4, "float32"))
    assert after[1] <= 2 * state[1] - state[0] + 1e-3
