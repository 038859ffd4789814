"""What has no integer kernel at a width stays float, or is refused with a remedy."""

import keras
import pytest
from keras import layers as kl

import kqat
from kqat.core.errors import PlanError


def small(*layers):
    return keras.Sequential([keras.Input((8, 8, 3)), kl.Conv2D(4, 3, name="conv"), *layers])


@pytest.mark.parametrize("bits", [(8, 9), (8, 12), (4, 15)])
def test_widths_between_8_and_16_are_refused(bits):
    with pytest.raises(
        PlanError, match=f"Received: {bits[1]} bits for the output of .* Use 8 bits or less, or 16"
    ):
        kqat.plan(small(), bits)


def test_wide_weights_are_refused_between_wide_activations():
    with pytest.raises(PlanError, match=r"Received: 16 bits for the weights of 'conv'. Use bits=\(8, 16\)"):
        kqat.plan(small(), 16)


def test_pact_is_refused_at_16_bits():
    with pytest.raises(PlanError, match="Use quantizer='ema', 'lsq' or 'auto'"):
        kqat.plan(small(), (8, 16), quantizer="pact")


def test_layers_without_a_16_bit_kernel_stay_float_between_layers_with_one():
    model = small(kl.Activation("gelu", name="gelu"), kl.Conv2D(4, 3, name="last"))
    plan = kqat.plan(model, (8, 16))
    assert (plan["gelu"].mode, plan["gelu"].reason) == ("float", "no integer kernel for 16-bit activations")
    assert plan["conv"].mode == plan["last"].mode == "quantized"
    assert plan["gelu"].output.bits == 16
    assert kqat.plan(model, 8)["gelu"].mode == "quantized"
