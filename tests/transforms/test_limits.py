"""What has no integer kernel at a width stays float, or is refused with a remedy."""

import keras
from keras import layers as kl

import kqat


def small(*layers):
    return keras.Sequential([keras.Input((8, 8, 3)), kl.Conv2D(4, 3, name="conv"), *layers])


def test_layers_without_a_16_bit_kernel_stay_float_between_layers_with_one():
    model = small(kl.Activation("gelu", name="gelu"), kl.Conv2D(4, 3, name="last"))
    plan = kqat.plan(model, (8, 16))
    assert (plan["gelu"].mode, plan["gelu"].reason) == ("float", "no integer kernel for 16-bit activations")
    assert plan["conv"].mode == plan["last"].mode == "quantized"
    assert plan["gelu"].output.bits == 16
    assert kqat.plan(model, 8)["gelu"].mode == "quantized"
