"""Models of larq in Keras 3: converted, from `.h5` files, summed up, trained by its optimizer."""

import keras
import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from examples import mybnnnet, mybnnnet_keras
from kqat.core.errors import ConversionError
from kqat.quantizers import SteSign

larq = pytest.importorskip("larq")  # needs NumPy 1: `make larq` has an environment with it
tf_keras = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
L = tf_keras.layers
RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (64, 18, 18, 1)).astype("float32")
Y = (X.mean((1, 2, 3)) > 0).astype("int64")


@pytest.fixture(scope="module")
def bnn():
    tf_keras.utils.set_random_seed(0)
    model = mybnnnet.build((18, 18, 1), classes=2)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    return model


def assert_same_predictions(theirs, ours):
    # BatchNormalization rounds otherwise in the two versions; a sign of about 0 may flip for that.
    old, new = theirs.predict(X, verbose=0), ours.predict(X, verbose=0)
    assert np.mean(np.abs(old - new).max(-1) <= 1e-5) >= 0.95


def test_a_model_of_larq_becomes_one_of_kqat(bnn):
    model = kqat.convert(bnn, to="keras")
    assert isinstance(model, keras.Model)
    ours = [layer for layer in model.layers if hasattr(layer, "kernel_quantizer")]
    theirs = [layer for layer in bnn.layers if hasattr(layer, "kernel_quantizer")]
    for old, new in zip(theirs, ours, strict=True):
        assert type(new) is getattr(kqat.layers, type(old).__name__)
        np.testing.assert_array_equal(np.array(new.kernel), np.array(old.kernel))
    layer = model.get_layer(bnn.layers[3].name)
    assert isinstance(layer.input_quantizer, SteSign)
    assert layer.kernel_constraint.clip_value == 1
    assert_same_predictions(bnn, model)


def test_settings_of_layers_and_quantizers_come_along():
    image = L.Input((8, 8, 3))
    x = larq.layers.QuantConv2D(
        4,
        3,
        strides=2,
        padding="same",
        pad_values=1.0,
        kernel_quantizer=larq.quantizers.SteSign(clip_value=None),
        input_quantizer=larq.quantizers.DoReFa(3),
        kernel_constraint=larq.constraints.WeightClip(0.5),
        name="c",
    )(image)
    x = larq.layers.QuantDepthwiseConv2D(
        3, depthwise_quantizer="ste_tern", depthwise_constraint="weight_clip", name="d"
    )(x)
    x = larq.layers.QuantSeparableConv2D(
        5, 2, depthwise_quantizer="magnitude_aware_sign", pointwise_quantizer="swish_sign", name="s"
    )(x)
    theirs = tf_keras.Model(image, x)
    ours = kqat.convert(theirs, to="keras")
    conv, depthwise, separable = (ours.get_layer(name) for name in "cds")
    assert conv.pads_itself
    assert conv.kernel_quantizer.clip_value is None
    assert (conv.input_quantizer.bits, conv.kernel_constraint.clip_value) == (3, 0.5)
    assert depthwise.depthwise_quantizer.bits == 2
    assert type(separable.depthwise_quantizer).__name__ == "MagnitudeAwareSign"
    assert type(separable.pointwise_quantizer).__name__ == "SwishSign"
    image = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    # The same float32 sums of up to 27 products in both.
    np.testing.assert_allclose(ours(image), theirs(image), rtol=1e-5, atol=1e-5)


# tf_keras advises against the format, which is the one that larq's models are published in.
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file:UserWarning")
@pytest.mark.parametrize("whole", [True, False], ids=["model", "weights"])
def test_files_of_larq_are_read(bnn, whole, tmp_path):
    path = tmp_path / "model.h5"
    (bnn.save if whole else bnn.save_weights)(path)
    model = mybnnnet_keras.build((18, 18, 1), classes=2)
    kqat.load_h5_weights(model, path)
    assert_same_predictions(bnn, model)
    with pytest.raises(ConversionError, match="has other weights"):
        kqat.load_h5_weights(mybnnnet_keras.build((18, 18, 1), classes=3), path)


def test_other_files_are_refused(bnn, tmp_path):
    bnn.save_weights(tmp_path / "x.weights.h5")  # the layout of Keras 3
    with pytest.raises(ConversionError, match="does not name layers"):
        kqat.load_h5_weights(mybnnnet_keras.build((18, 18, 1), classes=2), tmp_path / "x.weights.h5")


def test_binary_files_of_larq_are_read(bnn, tmp_path):
    with larq.context.quantized_scope(True):
        bnn.save_weights(tmp_path / "binary.h5")
    model = mybnnnet_keras.build((18, 18, 1), classes=2)
    kqat.load_h5_weights(model, tmp_path / "binary.h5")
    for layer in model.layers:
        if hasattr(layer, "kernel_quantizer"):
            np.testing.assert_array_equal(np.abs(np.array(layer.kernel)), 1)
    assert_same_predictions(bnn, model)


def test_the_summary_counts_what_larq_counts(bnn):
    profile = larq.models.ModelProfile(bnn)
    totals = kqat.summary(mybnnnet_keras.build((18, 18, 1), classes=2)).totals
    assert totals.macs == profile.op_count("mac")
    assert totals.binary_macs == profile.op_count("mac", 1)
    # larq leaves out one of beta and mean a channel, which its file merges; ours is the size of the model.
    merged = [layer.beta for layer in bnn.layers if isinstance(layer, L.BatchNormalization)]
    assert totals.bytes == profile.memory / 8 + sum(4 * int(beta.shape[0]) for beta in merged)


def test_bop_takes_the_steps_of_larq():
    theirs = larq.layers.QuantDense(5, kernel_quantizer=larq.quantizers.NoOp(precision=1))
    ours = kqat.layers.QuantDense(5, kernel_quantizer=kqat.quantizers.NoOp(precision=1))
    for layer in (theirs, ours):
        layer.build((None, 7))
    ours.kernel.assign(np.array(theirs.kernel))
    case = lambda library, adam: library.optimizers.CaseOptimizer(  # noqa: E731
        (library.optimizers.Bop.is_binary_variable, library.optimizers.Bop(threshold=1e-4, gamma=0.1)),
        default_optimizer=adam,
    )
    steps = (
        case(larq, tf_keras.optimizers.legacy.Adam(0.01)),
        case(kqat, keras.optimizers.Adam(0.01)),
    )
    x, y = RNG.normal(size=(16, 7)).astype("float32"), RNG.normal(size=(16, 5)).astype("float32")
    flipped = 0
    for _ in range(10):
        before = np.array(theirs.kernel)
        for layer, optimizer in zip((theirs, ours), steps, strict=True):
            step(layer, optimizer, x, y)
        flipped += np.sum(np.array(theirs.kernel) != before)
        np.testing.assert_array_equal(np.array(theirs.kernel), np.array(ours.kernel))
        # Adam's quotients, computed in two orders.
        np.testing.assert_allclose(np.array(ours.bias), np.array(theirs.bias), atol=1e-6)
    assert flipped > 35  # more than the first step, in which all weights become -1 or +1


def step(layer, optimizer, x, y):
    variables = layer.trainable_variables
    values = [v.value if isinstance(v, keras.Variable) else v for v in variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(layer(x) - y))
    optimizer.apply_gradients(zip(tape.gradient(loss, values), variables, strict=True))


def test_a_whole_network_takes_the_steps_of_larq():
    theirs, ours = mybnnnet.build((18, 18, 1), classes=2), mybnnnet_keras.build((18, 18, 1), classes=2)
    pairs = [pair for pair in zip(theirs.layers, ours.layers, strict=True) if hasattr(pair[0], "kernel")]
    for old, new in pairs:
        new.kernel.assign(np.array(old.kernel))
    theirs.compile(tf_keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    ours.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy")
    images = RNG.uniform(-1, 1, (10, 32, 18, 18, 1)).astype("float32")
    for x in images:
        y = (x.mean((1, 2, 3)) > 0).astype("int64")
        theirs.train_on_batch(x, y)
        ours.train_on_batch(x, y)
        for old, new in pairs:
            np.testing.assert_allclose(np.array(new.kernel), np.array(old.kernel), rtol=0, atol=1e-6)


def test_flip_ratios_are_those_of_larq():
    theirs, ours = larq.metrics.FlipRatio(), kqat.metrics.FlipRatio()
    for seed in range(5):
        values = np.sign(np.random.default_rng(seed).normal(size=(6, 4)))
        theirs.update_state(values)
        ours.update_state(values)
    assert float(ours.result()) == pytest.approx(float(theirs.result()), abs=1e-6)


def test_the_summary_counts_larqs_layers():
    model = mybnnnet.build((18, 18, 1), classes=2)
    found = {row.name: row for row in kqat.summary(model).rows}
    assert found["quant_conv2d_1"].weight_bits == 1
    assert list(found["quant_conv2d_1"].macs_by_bits) == [(1, 1)]
    assert list(found["quant_conv2d"].macs_by_bits) == [(1, 32)]  # reads the image as it is
