"""What has no integer kernel at a width stays float, or is refused with a remedy."""

import keras
from keras import layers as kl

import kqat


def small(*layers):
    return keras.Sequential([keras.Input((8, 8, 3)), kl.Conv2D(4, 3, name="conv"), *layers])


def test_layers_without_a_16_bit_kernel_stay_float_between_layers_with_one():
    model = small(kl.UpSampling2D(2, interpolation="bilinear", name="up"), kl.Conv2D(4, 3, name="last"))
    plan = kqat.plan(model, (8, 16))
    assert (plan["up"].mode, plan["up"].reason) == ("float", "no integer kernel for 16-bit activations")
    assert plan["conv"].mode == plan["last"].mode == "quantized"
    assert plan["up"].output.bits == 16
    assert kqat.plan(model, 8)["up"].mode == "quantized"


def test_normalizations_without_exact_sums_stay_float():
    inputs = keras.Input((260, 260, 4))
    y = kl.Conv2D(4, 1, name="conv")(inputs)
    y = kl.GroupNormalization(2, name="large")(y)
    y = kl.Conv2D(260, 1)(y)
    y = kl.GroupNormalization(2, axis=1, name="rows")(y)
    y = kl.GroupNormalization(260, name="instances")(y)
    plan = kqat.plan(keras.Model(inputs, y), 8)
    assert plan["large"].reason == "no exact form of sums of 135200 values, more than 65536"
    assert plan["rows"].reason == "no integer kernel for axis=1"
    assert "67600 values" in plan["instances"].reason
    small = keras.Sequential([keras.Input((8, 8, 4)), kl.Conv2D(4, 1), kl.GroupNormalization(2, name="norm")])
    assert kqat.plan(small, 8)["norm"].mode == "quantized"


def test_convolutions_that_no_operator_computes_stay_float():
    def reason(layer, shape):
        plan = kqat.plan(keras.Sequential([keras.Input(shape), kl.Dense(4), layer, kl.Dense(2)]), 8)
        return plan[layer.name].reason

    assert "groups=2" in reason(kl.Conv3D(4, 2, groups=2), (4, 4, 4, 3))
    assert "dilation_rate" in reason(kl.Conv3DTranspose(4, 2, dilation_rate=2), (4, 4, 4, 3))
    padded = {"strides": 2, "padding": "same"}
    assert "output_padding=(0, 0)" in reason(kl.Conv2DTranspose(4, 3, output_padding=0, **padded), (4, 4, 3))
    assert reason(kl.Conv2DTranspose(4, 3, output_padding=1, **padded), (4, 4, 3)) == ""
