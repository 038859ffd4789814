"""Which quantizers are one step, and where."""

import numpy as np
import pytest

from kqat import quantizers
from kqat.quantizers.step import step_function

SHAPE = (None, 4, 3)


def built(identifier, **options):
    quantizer = quantizers.get(identifier, **options)
    quantizer.build(SHAPE)
    return quantizer


@pytest.mark.parametrize("name", ["ste_sign", "approx_sign", "swish_sign", "ir_sign"])
def test_signs(name):
    step = step_function(built(name), SHAPE)
    assert step.is_sign
    assert step.threshold is None


def test_the_unscaled_sign():
    assert step_function(built("sign", scaled=False), SHAPE).is_sign


def test_heaviside_is_0_at_0():
    step = step_function(built("ste_heaviside"), SHAPE)
    assert (step.low, step.high, step.inclusive) == (0.0, 1.0, False)
    assert not step.is_sign


def test_a_learned_threshold():
    quantizer = built("rsign")
    quantizer.threshold.assign(np.reshape([-2.0, 0.0, 0.3], quantizer.threshold.shape))
    step = step_function(quantizer, SHAPE)
    assert step.is_sign
    np.testing.assert_array_equal(step.threshold, np.float32([-2.0, 0.0, 0.3]))


@pytest.mark.parametrize("name", ["ste_tern", "dorefa_quantizer", "minmax"])
def test_more_than_two_values_are_no_step(name):
    assert step_function(built(name), SHAPE) is None
