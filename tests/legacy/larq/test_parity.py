"""Side by side with larq: every layer with every quantizer, forward, gradients and ten steps of training."""

import keras
import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)

larq = pytest.importorskip("larq")  # needs NumPy 1: `make larq` has an environment with it
tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")

LAYERS = {
    "QuantDense": ((6, 7), {"units": 5}),
    "QuantConv1D": ((3, 9, 4), {"filters": 5, "kernel_size": 3}),
    "QuantConv2D": ((3, 7, 8, 4), {"filters": 5, "kernel_size": 3, "strides": 2}),
    "QuantConv3D": ((2, 5, 4, 5, 2), {"filters": 3, "kernel_size": 2}),
    "QuantDepthwiseConv2D": ((3, 7, 7, 4), {"kernel_size": 3, "depth_multiplier": 2}),
    "QuantSeparableConv1D": ((3, 9, 4), {"filters": 5, "kernel_size": 3}),
    "QuantSeparableConv2D": ((3, 7, 7, 4), {"filters": 5, "kernel_size": 3, "depth_multiplier": 2}),
    "QuantConv2DTranspose": ((2, 4, 4, 3), {"filters": 4, "kernel_size": 3, "strides": 2}),
    "QuantConv3DTranspose": ((2, 3, 3, 3, 2), {"filters": 3, "kernel_size": 2}),
}
# Settings of each quantizer, by its class; both libraries have the same names for all of them.
QUANTIZERS = {
    "ste_sign": ("SteSign", {}),
    "ste_sign unclipped": ("SteSign", {"clip_value": None}),
    "approx_sign": ("ApproxSign", {}),
    "swish_sign": ("SwishSign", {"beta": 3.0}),
    "ste_heaviside": ("SteHeaviside", {"clip_value": 0.7}),
    "magnitude_aware_sign": ("MagnitudeAwareSign", {}),
    "ste_tern": ("SteTern", {}),
    "ste_tern of ternary weight networks": ("SteTern", {"ternary_weight_networks": True}),
    "dorefa_quantizer": ("DoReFa", {"k_bit": 3}),
    "dorefa_quantizer of weights": ("DoReFa", {"k_bit": 2, "mode": "weights"}),
}
RATE = 0.01


def weight_names(kind):
    if "Depthwise" in kind:
        return ("depthwise",)
    return ("depthwise", "pointwise") if "Separable" in kind else ("kernel",)


def pair(kind, quantizer, **more):
    """Returns a layer of larq and one of kqat, built, with the same weights."""
    shape, config = LAYERS[kind]
    made = []
    for library in (larq, kqat):
        cls, settings = QUANTIZERS[quantizer]
        new = lambda: getattr(library.quantizers, cls)(**settings)  # noqa: B023, E731
        own = {f"{name}_quantizer": new() for name in weight_names(kind)}
        own |= {f"{name}_constraint": "weight_clip" for name in weight_names(kind)}
        layer = getattr(library.layers, kind)(input_quantizer=new(), **own, **config, **more)
        layer.build(shape)
        made.append(layer)
    theirs, ours = made
    rng = np.random.default_rng(0)
    for old, new in zip(theirs.trainable_variables, ours.float_weights(), strict=True):
        value = rng.uniform(-0.9, 0.9, old.shape).astype("float32")
        value.ravel()[:2] = 0.0, -0.0
        old.assign(value)
        new.assign(value)
    return theirs, ours


def data(kind):
    x = np.random.default_rng(1).normal(0.2, 0.8, LAYERS[kind][0]).astype("float32")
    x.ravel()[:3] = 0.0, 1.0, -1.0
    return x


def values(layer):
    variables = layer.trainable_variables
    return [v.value if isinstance(v, keras.Variable) else getattr(v, "latent_variable", v) for v in variables]


def run(layer, x, upstream):
    """Returns the output, and the gradients with respect to the input and the weights."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(y * upstream)
    return [np.array(one) for one in (y, *tape.gradient(loss, [x, *values(layer)]))]


def assert_same(old, new):
    """Asserts equality to 1e-6 of the largest value; sums of a few hundred products differ by less."""
    assert old.shape == new.shape
    np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-6 * max(np.abs(old).max(), 1.0))


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("kind", LAYERS)
def test_forward_gradients_and_ten_steps_are_those_of_larq(kind, quantizer):
    theirs, ours = pair(kind, quantizer)
    x = data(kind)
    upstream = np.random.default_rng(2).normal(size=theirs(x).shape).astype("float32")
    for old, new in zip(run(theirs, x, upstream), run(ours, x, upstream), strict=True):
        assert_same(old, new)
    before = [np.array(one) for one in values(theirs)]
    steps = tf_keras.optimizers.SGD(RATE), keras.optimizers.SGD(RATE)
    for layer, optimizer in zip((theirs, ours), steps, strict=True):
        train(layer, optimizer, x, upstream)
    for start, old, new in zip(before, values(theirs), values(ours), strict=True):
        assert_same(np.array(old), np.array(new))
        assert np.any(np.array(old) != start)


def train(layer, optimizer, x, upstream):
    for _ in range(10):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(x) - upstream))
        gradients = tape.gradient(loss, values(layer))
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))


@pytest.mark.parametrize("pad_values", [1.0, -1.0, 0.5])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2)])
@pytest.mark.parametrize("kind", ["QuantConv1D", "QuantConv2D", "QuantConv3D", "QuantDepthwiseConv2D"])
def test_borders_are_padded_like_larq(kind, strides, dilation, pad_values):
    shape, config = LAYERS[kind]
    settings = {**config, "strides": strides, "dilation_rate": dilation, "padding": "same"}
    if kind == "QuantConv3D" and dilation > 1:
        settings["kernel_size"] = 3
    layers = [getattr(one.layers, kind)(pad_values=pad_values, **settings) for one in (larq, kqat)]
    for layer in layers:
        layer.build(shape)
    for old, new in zip(*(layer.trainable_variables for layer in layers), strict=True):
        new.assign(np.array(old))
    old, new = (np.array(layer(data(kind))) for layer in layers)
    assert_same(old, new)
    assert layers[1].compute_output_shape(shape) == new.shape


@pytest.mark.parametrize("name", ["ste_sign", "approx_sign", "swish_sign", "ste_heaviside", "ste_tern"])
def test_names_mean_the_same(name):
    theirs = larq.layers.QuantDense(3, kernel_quantizer=name).kernel_quantizer
    ours = kqat.layers.QuantDense(3, kernel_quantizer=name).kernel_quantizer
    shared = {"clip_value", "beta", "threshold_value", "ternary_weight_networks", "k_bit", "mode"}
    config, expected = ours.get_config(), theirs.get_config()
    assert {k: config.get(k) for k in shared} == {k: expected.get(k) for k in shared}
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.bits == theirs.precision
