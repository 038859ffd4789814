"""The layers of Larq: every one trains, saves and strips; borders, constraints, names of arguments."""

import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat import layers as kl
from kqat import quantizers
from kqat.constraints import WeightClip
from tests.eager import EAGERLY
from tests.few import few_on_jax

SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "kernel_constraint": "weight_clip"}
SEPARABLE = {
    "input_quantizer": "ste_sign",
    "depthwise_quantizer": "ste_sign",
    "pointwise_quantizer": "ste_tern",
    "depthwise_constraint": "weight_clip",
    "pointwise_constraint": "weight_clip",
}
DEPTHWISE = {
    "input_quantizer": "ste_sign",
    "depthwise_quantizer": "ste_sign",
    "depthwise_constraint": "weight_clip",
}
CASES = {
    "QuantDense": ((6,), lambda: kl.QuantDense(4, **SIGNS)),
    "QuantConv1D": ((8, 3), lambda: kl.QuantConv1D(4, 3, padding="same", pad_values=1.0, **SIGNS)),
    "QuantConv2D": ((6, 6, 3), lambda: kl.QuantConv2D(4, 3, padding="same", pad_values=1.0, **SIGNS)),
    "QuantConv3D": ((4, 4, 4, 2), lambda: kl.QuantConv3D(3, 2, **SIGNS)),
    "QuantDepthwiseConv2D": ((6, 6, 3), lambda: kl.QuantDepthwiseConv2D(3, **DEPTHWISE)),
    "QuantSeparableConv1D": ((8, 3), lambda: kl.QuantSeparableConv1D(4, 3, **SEPARABLE)),
    "QuantSeparableConv2D": (
        (6, 6, 3),
        lambda: kl.QuantSeparableConv2D(4, 3, padding="same", pad_values=-1.0, **SEPARABLE),
    ),
    "QuantConv1DTranspose": ((5, 3), lambda: kl.QuantConv1DTranspose(4, 3, **SIGNS)),
    "QuantConv2DTranspose": ((4, 4, 3), lambda: kl.QuantConv2DTranspose(4, 3, strides=2, **SIGNS)),
    "QuantConv3DTranspose": ((3, 3, 3, 2), lambda: kl.QuantConv3DTranspose(3, 2, **SIGNS)),
}


def numpy(x):
    return np.array(ops.convert_to_numpy(x))


def data(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.8, (8, *shape)).astype("float32")


KEPT = ("QuantDense", "QuantConv2D", "QuantSeparableConv2D", "QuantConv2DTranspose")


@pytest.mark.parametrize("name", few_on_jax(CASES, *KEPT))
def test_trains_saves_and_strips(name, tmp_path):
    shape, make = CASES[name]
    layer, x = make(), data(CASES[name][0])
    model = keras.Sequential([keras.Input(shape), layer])
    y = np.zeros((8, *model.output_shape[1:]), "float32")
    before = [numpy(v) for v in layer.float_weights()]
    model.compile(keras.optimizers.SGD(0.1), "mse", **EAGERLY)
    model.fit(x, y, batch_size=8, verbose=0)
    for old, new in zip(before, layer.float_weights(), strict=True):
        assert np.any(numpy(new) != old), new.path
    model.save(tmp_path / "model.keras")
    loaded = kqat.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    for weight, quantizer in layer.weight_quantizers.items():
        assert loaded.layers[-1].weight_quantizers[weight].get_config() == quantizer.get_config()
    plain = kqat.strip_fake_quant(model).layers[-1]
    assert type(plain) is layer.float_class
    for old, new in zip(layer.float_weights(), plain.weights, strict=True):
        np.testing.assert_array_equal(numpy(old), numpy(new))
    assert "kqat" not in str(plain.get_config())


@pytest.mark.parametrize("name", few_on_jax(CASES, *KEPT))
def test_computes_on_signs_and_says_the_precision(name):
    shape, make = CASES[name]
    layer, x = make(), data(shape)
    layer.build((None, *shape))
    names = list(layer.weight_quantizers)
    assert [getattr(layer, weight).precision for weight in names] == [
        layer.weight_quantizers[weight].bits for weight in names
    ]
    plain = layer.to_float_layer()
    if getattr(layer, "pads_itself", False):
        sizes = [(0, 0), *layer.pad_width(x)[1:-1], (0, 0)]
        signs = np.pad(np.where(x >= 0, 1.0, -1.0), sizes, constant_values=layer.pad_values)
        plain = layer.float_class.from_config({**plain.get_config(), "padding": "valid"})
    else:
        signs = np.where(x >= 0, 1.0, -1.0)
    plain.build((None, *signs.shape[1:]))
    for variable in plain.weights:
        quantizer = layer.weight_quantizers.get(variable.name)
        value = ops.convert_to_tensor(getattr(layer, variable.name))
        variable.assign(value if quantizer is None else quantizer(value))
    np.testing.assert_array_equal(numpy(layer(x)), numpy(plain(signs.astype("float32"))))


def test_weights_stay_clipped():
    layer = kl.QuantDense(4, **SIGNS)
    model = keras.Sequential([keras.Input((6,)), layer])
    layer.kernel.assign(numpy(layer.kernel) * 100)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.fit(data((6,)), np.zeros((8, 4)), verbose=0)
    assert np.abs(numpy(layer.kernel)).max() == 1


def test_unknown_sizes_are_padded_when_they_are_known():
    layer = kl.QuantConv2D(2, 3, strides=2, padding="same", pad_values=1.0)
    image = keras.Input((None, None, 3))
    model, x = keras.Model(image, layer(image)), data((7, 6, 3))
    assert model.output_shape == (None, None, None, 2)
    padded = np.pad(x, [(0, 0), (1, 1), (0, 1), (0, 0)], constant_values=1.0)
    valid = keras.layers.Conv2D(2, 3, strides=2)
    valid.build(padded.shape)
    valid.set_weights([numpy(w) for w in layer.weights])
    # The same kernel of another compiled function.
    np.testing.assert_allclose(model.predict(x, verbose=0), numpy(valid(padded)), rtol=1e-5, atol=1e-6)


def test_channels_first():
    layer = kl.QuantConv1D(2, 3, padding="same", pad_values=1.0, data_format="channels_first")
    layer.build((None, 3, 8))
    assert layer.pad_width(data((3, 8))) == [(0, 0), (0, 0), (1, 1)]


def test_zero_and_valid_padding_need_no_pad():
    assert not kl.QuantConv2D(2, 3, padding="same").pads_itself
    assert not kl.QuantConv2D(2, 3, pad_values=1.0).pads_itself
    with pytest.raises(ValueError, match="causal"):
        kl.QuantConv1D(2, 3, padding="causal", pad_values=1.0)


def test_metrics_reach_objects_and_names():
    for quantizer in ("ste_sign", quantizers.NoOp(precision=1)):
        layer = kl.QuantDense(3, kernel_quantizer=quantizer, metrics=["flip_ratio"])
        layer.build((None, 4))
        layer(data((4,)), training=True)
        layer.kernel.assign(-numpy(layer.kernel))
        layer(data((4,)), training=True)
        assert layer.kernel_quantizer.flips.ratio == 1


@pytest.mark.parametrize(
    "activation", ["ste_sign", quantizers.SteSign(clip_value=1.2), "dorefa_quantizer", "rsign"]
)
@pytest.mark.parametrize(
    "make",
    [
        lambda **a: kl.QuantConv2D(4, 3, padding="same", pad_values=1.0, **SIGNS, **a),
        lambda **a: kl.QuantDense(4, **a),
    ],
)
def test_activations_may_be_quantizers(make, activation, tmp_path):
    model = keras.Sequential([keras.Input((6, 6, 3)), make(activation=activation)])
    layer, x = model.layers[0], data((6, 6, 3))
    plain = make()
    plain.build((None, 6, 6, 3))
    for old, new in zip(layer.float_weights(), plain.float_weights(), strict=True):
        new.assign(old)
    expected = quantizers.get(quantizers.serialize(layer.activation_quantizer))(plain(x))
    np.testing.assert_array_equal(numpy(model(x)), numpy(expected))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[0].activation_quantizer.get_config() == layer.activation_quantizer.get_config()
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    stripped = kqat.strip_fake_quant(model)
    assert stripped.layers[-1].activation is keras.activations.linear
    assert len(stripped.weights) == len(plain.weights) - sum(
        len(q.variables) for q in plain_quantizers(plain)
    )


def plain_quantizers(layer):
    return [q for q in (*layer.weight_quantizers.values(), layer.input_quantizer) if q is not None]


def test_the_gradient_of_an_activation_is_the_quantizers():
    layer = kl.QuantDense(1, use_bias=False, kernel_initializer="ones", activation="ste_sign")
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(1.0), "mae")
    model.fit(np.array([[0.5]], "float32"), np.array([[0.0]], "float32"), verbose=0)
    assert numpy(layer.kernel) == 0.5  # 1 - d|sign(w * x)|/dw, the straight-through x


def test_names_of_quantizers_mean_nothing_to_other_layers():
    kl.QuantDense(4, activation="ste_sign")
    with pytest.raises(ValueError, match="ste_sign"):
        keras.layers.Dense(4, activation="ste_sign")
    with pytest.raises(ValueError, match="ste_sing"):
        kl.QuantDense(4, activation="ste_sing")


def test_quantizers_of_other_weights_are_refused():
    with pytest.raises(ValueError, match="Received: pointwise_quantizer. Use kernel_quantizer"):
        kl.QuantDense(3, pointwise_quantizer="ste_sign")
    with pytest.raises(ValueError, match="Use depthwise_quantizer, pointwise_quantizer"):
        kl.QuantSeparableConv2D(3, 3, kernel_quantizer="ste_sign")


def test_constraints_by_name_configuration_and_object():
    for given in ("weight_clip", {"class_name": "WeightClip", "config": {"clip_value": 1.0}}, WeightClip()):
        assert kl.QuantDense(3, kernel_constraint=given).kernel_constraint.clip_value == 1.0
    assert isinstance(
        kl.QuantDense(3, kernel_constraint="non_neg").kernel_constraint, keras.constraints.NonNeg
    )


def test_rprelu_is_the_formula():
    layer, x = kl.RPReLU(), data((5, 3))
    layer.build((None, 5, 3))
    before, after, slope = (data((3,), seed)[0] for seed in (1, 2, 3))
    for variable, value in ((layer.shift_in, before), (layer.shift_out, after), (layer.slope, slope)):
        variable.assign(value)
    shifted = x - before
    np.testing.assert_allclose(
        numpy(layer(x)), np.where(shifted > 0, shifted, slope * shifted) + after, rtol=1e-6, atol=1e-6
    )  # a product may be fused with the sum behind it
