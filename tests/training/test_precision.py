"""Mixed precision: training computes in less, inference and the file are exact all the same."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import PlanError
from kqat.quantizers.find import find

MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


@pytest.fixture(autouse=True)
def _float32_afterwards():
    yield
    keras.config.set_dtype_policy("float32")


def net():
    layers = keras.layers
    inputs = keras.Input((6, 6, 2))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(4, 3, use_bias=False)(inputs)))
    x = layers.MaxPooling2D()(layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)]))
    return keras.Model(inputs, layers.Dense(3, dtype="float32", name="head")(layers.Flatten()(x)))


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 6, 6, 2)).astype("float32")
    return x, x.mean((1, 2)) @ np.array([[3.0, -3, 1], [1, 2, -2]], "float32")


def quantized(policy, bits, **options):
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    return kqat.quantize(net(), bits, **options)


def trained(policy, bits, batch=16):
    model = quantized(policy, bits)
    x, y = data()
    model.compile(keras.optimizers.SGD(0.02), "mse")
    losses = model.fit(x, y, batch_size=batch, epochs=3, shuffle=False, verbose=0).history["loss"]
    return model, losses


POLICIES = [("mixed_float16", 8), pytest.param("mixed_bfloat16", 4, marks=pytest.mark.repeats)]


@pytest.mark.parametrize(("policy", "bits"), POLICIES)
def test_a_model_trained_in_mixed_precision_is_exported_bit_equal(policy, bits, tmp_path):
    model, losses = trained(policy, bits)
    x, _ = data()
    report = kqat.verify(model, kqat.export_tflite(model), x, layers=True)
    assert report.max_lsb == 0
    assert losses[-1] < losses[0]
    # Saved, and loaded where another policy reigns, the model gives the same integers.
    predicted = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float32")
    loaded = kqat.load_model(tmp_path / "model.keras", compile=False)
    assert predicted.dtype == np.float32
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), predicted)


@pytest.mark.parametrize("policy", MIXED)
def test_training_computes_in_the_policys_dtype_and_the_grids_in_float32(policy):
    model = quantized(policy, 8)
    for place in find(model):
        assert {variable.dtype for variable in place.quantizer.variables} == {"float32"}
    x = keras.ops.convert_to_tensor(data()[0])
    first = model.layers[1]
    outputs = keras.Model(model.inputs, [first.output, model.get_layer("conv2d").output])
    dtypes = lambda training: [  # noqa: E731
        keras.backend.standardize_dtype(y.dtype) for y in outputs(x, training=training)
    ]
    assert dtypes(True) == [MIXED[policy]] * 2
    assert dtypes(False) == ["float32"] * 2


def test_ranges_are_those_of_the_input_before_it_is_cast():
    keras.config.set_dtype_policy("mixed_float16")
    layer = kqat.layers.FakeQuant()
    # Neither end is a float16.
    layer(np.array([-1.0001, 2.0001], "float32"), training=True)
    low, high = (float(keras.ops.convert_to_numpy(v)) for v in (layer.quantizer.low, layer.quantizer.high))
    assert (low, high) == (np.float32(-1.0001), np.float32(2.0001))


def test_float16_trains_with_a_scaled_loss_as_float32_does_without():
    model, losses = trained("mixed_float16", 8, batch=32)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    _, plain = trained("float32", 8, batch=32)
    # The first step, all the data, sees the same weights; float16 keeps 11 bits of every product. Later ones
    # may differ: a scale that overflows skips its step.
    assert losses[0] == pytest.approx(plain[0], rel=0.01)
    assert losses[-1] < losses[0]


def test_layers_left_in_float_compute_in_float32_as_in_the_file():
    model = quantized("mixed_bfloat16", 8, exclude=["conv2d*"])
    assert model.get_layer("conv2d").compute_dtype == "float32"
    x, _ = data()
    kqat.calibrate(model, x)
    report = kqat.verify(model, kqat.export_tflite(model), x)
    # A float convolution sums in an order of its own: seldom a value next to a border rounds otherwise.
    assert report.max_lsb <= 1


@pytest.mark.repeats
def test_policies_of_single_layers_are_kept():
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, dtype="mixed_bfloat16", name="low")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="float32", name="full")(x))
    model = kqat.quantize(model)
    assert model.get_layer("low").operation.compute_dtype == "bfloat16"
    assert model.get_layer("full").operation.compute_dtype == "float32"
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    kqat.calibrate(model, x)
    assert kqat.verify(model, kqat.export_tflite(model), x, layers=True).max_lsb == 0


# JAX computes in float64 only where that was asked for before its first array.
OTHER = ["float16", "bfloat16", *(["float64"] if keras.backend.backend() != "jax" else [])]


@pytest.mark.parametrize("dtype", OTHER)
def test_weights_of_another_dtype_are_refused(dtype):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype=dtype, name="odd")])
    with pytest.raises(PlanError, match=f"'odd'.*dtype {dtype}.*mixed_float16"):
        kqat.quantize(model)
