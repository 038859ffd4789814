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
    assert (numpy(quantizer.low), numpy(quantizer.high)) == (-2, 2)


def test_compiled_steps_are_the_eager_ones():
    quantizer, state = quantizers.MovingAverage(8, decay=0.8), (0, 0, 0)

    def step(x, variables):
        _, updated = quantizer.stateless_call([], variables, x, training=True)
        return updated

    run = compiled(step) if keras.backend.backend() == "jax" else None
    if run is None:  # stateful backends: the compiled function assigns by itself
        inner = compiled(lambda x: quantizer(x, training=True))
    quantizer(ops.convert_to_tensor(data()))  # builds
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
