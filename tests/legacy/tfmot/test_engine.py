"""tfmot's machinery with kqat's widths and ranges: what is quantized, trained, saved and written."""

import keras
import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from kqat.core.errors import (
    ExportError,
    FallbackWarning,
    NotCalibratedError,
    PlanError,
    UnmatchedPatternError,
)

tf_keras = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf_keras runs on TensorFlow")

L = tf_keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 10, 10, 3)).astype("float32")
Y = X.mean((1, 2)) @ np.array([[1.0, -1.0], [0.5, 2.0], [-1.0, 1.0]], "float32")


@pytest.fixture(autouse=True)
def _names_from_zero():
    tf_keras.backend.clear_session()
    tf_keras.utils.set_random_seed(0)


def net():
    """Layers that tfmot knows, and some that it refuses: `+`, `*`, a standalone BatchNorm, a nested model."""
    inputs = L.Input((10, 10, 3))
    x = L.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = L.ReLU(name="relu")(L.BatchNormalization(name="norm")(x))
    depthwise = L.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = L.BatchNormalization(name="alone")((x + depthwise) * 0.5)
    inside = L.Input((10, 10, 8))
    x = tf_keras.Model(inside, L.Conv2D(6, 1, activation="swish", name="point")(inside), name="block")(x)
    x = L.Dense(8, activation="relu", name="hidden")(L.GlobalAveragePooling2D(name="mean")(x))
    model = tf_keras.Model(inputs, L.Dense(2, name="head")(x), name="net")
    for norm in (layer for layer in model.layers if isinstance(layer, L.BatchNormalization)):
        norm.moving_mean.assign(RNG.normal(scale=0.2, size=norm.moving_mean.shape))
        norm.moving_variance.assign(RNG.uniform(0.5, 2.0, size=norm.moving_mean.shape))
    return model


def trained(model, **options):
    q = kqat.quantize(model, **options)
    q.compile(tf_keras.optimizers.SGD(0.01), "mse")
    q.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    return q


def outputs(model, x=X):
    return np.array(model(x, training=False))


def test_nothing_that_has_a_rule_stays_float():
    plan = kqat.plan(net(), (4, 8), exclude=["head"])
    assert plan["block_point_swish"].output.bits == 8  # a layer of its own: no kernel fuses it
    assert [layer.path for layer in plan.float_layers] == ["head"]
    assert plan["head"].reason == "excluded by rule"
    assert {plan[name].weights["kernel"].bits for name in ("conv", "block_point", "hidden")} == {4}
    assert plan["depthwise"].weights["depthwise_kernel"].bits == 4
    assert plan["norm"].mode == "passthrough"  # computed by the convolution before it
    assert plan["alone"].output.bits == 8


def test_what_has_no_rule_is_listed():
    inputs = L.Input((5, 4))
    model = tf_keras.Model(inputs, L.Dense(2, name="head")(L.LSTM(4, name="gates")(inputs)))
    assert [(p.path, p.reason) for p in kqat.plan(model).float_layers] == [
        ("gates", "no quantization rule for LSTM")
    ]
    with pytest.raises(PlanError, match=r"strict=True.*gates \(LSTM\)"):
        kqat.quantize(model, strict=True)


def test_the_users_model_is_left_alone():
    model = net()
    model.compile("sgd", "mse")
    before, optimizer = [np.array(w) for w in model.weights], model.optimizer
    trained(model)
    assert model.optimizer is optimizer
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, np.array(new))


def test_training_changes_the_weights_and_sets_the_ranges():
    q = trained(net())
    counts = [float(v) for v in q.non_trainable_variables if v.name.split(":")[0].endswith("_count")]
    assert len(counts) >= 8
    assert set(counts) == {8.0}
    assert {w.name for w in q.trainable_weights if "kernel" in w.name}
    low, high = (next(v for v in q.variables if v.name.endswith(f"input_{end}:0")) for end in ("min", "max"))
    # The mean over the batches, in the order in which they came; twice.
    batches = X.reshape(4, 16, *X.shape[1:])
    np.testing.assert_allclose(float(low), batches.min((1, 2, 3, 4)).mean(), rtol=1e-6)
    np.testing.assert_allclose(float(high), batches.max((1, 2, 3, 4)).mean(), rtol=1e-6)


@pytest.mark.parametrize("bits", [8, (4, 8), (2, 8)], ids=str)
def test_the_file_holds_the_weights_that_were_trained(bits):
    q = trained(net(), bits=bits)
    export = kqat.export_tflite(q)
    report = kqat.verify(q, export, X)
    assert report.outputs[0].values == 128
    # Float32 simulation against integer kernels: each rounding may go the other way, and the next layers add
    # that up.
    assert report.max_lsb <= 4
    width = bits if isinstance(bits, int) else bits[0]
    assert {line.weight_bits for line in export.report.layers} == {width}


def test_depthwise_kernels_have_a_scale_for_each_channel():
    model = net()
    kernel = model.get_layer("depthwise").depthwise_kernel
    kernel.assign(kernel * np.logspace(-3, 0, 8).reshape(1, 1, 8, 1))
    q = trained(model)
    layer = next(layer for layer in q.layers if layer.name == "quant_depthwise")
    ((weight, quantizer, state),) = layer._weight_vars
    rounded = np.array(quantizer(weight, True, state))
    assert (np.abs(rounded - np.array(weight)).max((0, 1, 3)) <= np.abs(weight).max((0, 1, 3)) / 127).all()


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_saved_models_load(ending, tmp_path):
    q = trained(net(), bits=(4, 8))
    q.save(tmp_path / f"q.{ending}")
    loaded = kqat.legacy.load_model(tmp_path / f"q.{ending}")
    np.testing.assert_array_equal(outputs(loaded), outputs(q))
    assert len(loaded.trainable_weights) == len(q.trainable_weights)


def test_a_keras_3_model_is_converted_first():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="only")])
    with pytest.warns(FallbackWarning, match="from Keras 3 to tf_keras"):
        q = kqat.quantize(model, engine="tfmot")
    assert isinstance(q, tf_keras.Model)


def test_what_the_converter_leaves_in_float_is_noted():
    inputs = L.Input((6,))
    dense = tf_keras.Model(inputs, L.BatchNormalization(name="norm")(L.Dense(16, name="dense")(inputs)))
    q = kqat.quantize(dense)
    q(X[:, 0, :2].reshape(64, 6), training=True)
    notes = [note for note in kqat.export_tflite(q).report.notes if "float32 in the file" in note]
    assert len(notes) == 1
    assert "norm" in notes[0]
    assert not [note for note in kqat.export_tflite(trained(net())).report.notes if "float32" in note]


def test_errors_name_the_remedy():
    model = net()
    with pytest.raises(PlanError, match="2 to 8 bits. Received: bits=16. Use engine='native'"):
        kqat.quantize(model, bits=16)
    with pytest.raises(PlanError, match="native engine.*kqat.convert"):
        kqat.quantize(model, engine="native")
    with pytest.raises(PlanError, match="Received: move_batchnorm=True. Use kqat.convert"):
        kqat.quantize(model, bits=8, move_batchnorm=True)
    with pytest.raises(UnmatchedPatternError, match="'hed'.*'head'"):
        kqat.quantize(model, exclude=["hed"])
    q = kqat.quantize(model)
    with pytest.raises(PlanError, match="quantized already"):
        kqat.quantize(q)
    with pytest.raises(NotCalibratedError, match="no range yet"):
        kqat.export_tflite(q)
    with pytest.raises(ExportError, match="256 levels.*activation_bits=8"):
        kqat.export_tflite(trained(model, bits=4))


def test_inputs_keep_their_order():
    """tfmot on its own swaps them: the ReLU's layers are replaced and so come after the pooling layer."""
    inputs = L.Input((8, 8, 3))
    x = L.BatchNormalization()(L.Conv2D(3, 2, strides=2, use_bias=False)(inputs))
    both = L.Concatenate(name="both")([L.ReLU(name="relu")(x), L.MaxPooling2D(2, name="pool")(inputs)])
    model = tf_keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(both)))
    x = X[:, :8, :8]
    q = kqat.quantize(model)
    parents = [node.layer.name for node in q.get_layer("quant_both").inbound_nodes[0].parent_nodes]
    assert parents == ["quant_relu", "quant_pool"]
    np.testing.assert_array_equal(outputs(kqat.strip_fake_quant(q), x), outputs(model, x))
