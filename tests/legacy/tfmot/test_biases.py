"""What a file adds as whole numbers and puts on prescribed grids, in models of tf_keras."""

import keras
import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)

tf_keras = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf_keras runs on TensorFlow")

L = tf_keras.layers
X = np.random.default_rng(0).normal(size=(128, 20, 4)).astype("float32")


def trained(*layers, bits=8):
    tf_keras.utils.set_random_seed(0)
    q = kqat.quantize(tf_keras.Sequential([L.Input((20, 4)), *layers]), bits)
    q.compile("sgd", "mse", run_eagerly=True)  # one step
    q.fit(X, np.zeros((len(X), *q.output_shape[1:])), batch_size=len(X), verbose=0)
    for bias in (
        v for v in q.trainable_variables if "bias" in v.name
    ):  # of the size that training gives them
        bias.assign(0.1 * np.sin(np.arange(bias.shape[0])))
    return q


def test_the_bias_is_a_multiple_of_the_steps_of_input_and_weights():
    q = trained(L.Conv1D(6, 3, activation="relu"), L.Flatten(), L.Dense(3))
    wrappers = [layer for layer in q.layers if getattr(layer, "_weight_vars", None)]
    ranges = {v.name: float(v) for layer in q.layers for v in layer.non_trainable_variables}
    lows, highs = ([x for name, x in ranges.items() if name.endswith(end)] for end in ("_min:0", "_max:0"))
    for low, high, wrapper in zip(lows[:2], highs[:2], wrappers, strict=True):
        step = (high - low) / 255
        (kernel, _, _), (bias, quantizer, _) = wrapper._weight_vars
        tops = np.abs(kernel.numpy()).max(axis=(0, 1) if kernel.shape.rank == 3 else None)
        rounded = quantizer(bias, training=False, weights={}).numpy()
        multiples = rounded / (step * tops / 127)
        np.testing.assert_allclose(multiples, np.rint(multiples), atol=0.01)  # float32 of up to 20,000 steps
        assert (rounded != bias.numpy()).any()
        np.testing.assert_allclose(rounded, bias.numpy(), atol=0.51 * (step * tops / 127).max())


@pytest.mark.parametrize("bits", [8, (4, 8)], ids=str)
@pytest.mark.parametrize(
    "layers",
    [
        lambda: [L.Conv1D(8, 3, activation="relu"), L.MaxPooling1D(2), L.Conv1D(8, 3)],
        lambda: [L.Conv1D(8, 3, strides=2), L.GlobalAveragePooling1D(), L.Dense(5, activation="softmax")],
        lambda: [L.Conv1D(8, 3, activation="sigmoid"), L.Conv1D(4, 3), L.Activation("tanh")],
        lambda: [L.Flatten(), L.Dense(9, activation="relu"), L.Dense(5), L.Softmax()],
    ],
    ids=["convolutions", "softmax inside", "sigmoid and tanh", "softmax layer"],
)
def test_the_file_computes_the_models_levels(layers, bits):
    q = trained(*layers(), bits=bits)
    report = kqat.verify(q, kqat.export_tflite(q), X)
    outputs = len(X) * np.size(q(X[:1]))
    # Sums and means are put on the level of the kernel, functions between them computed in float: a value of
    # a sigmoid next to the border of two levels may fall on the other side (1 in 30,000).
    has_functions = any(layer.name.startswith("quant_activation") for layer in q.layers)
    assert report.max_lsb <= 1
    assert sum(output.mismatches for output in report.outputs) <= (outputs / 5_000 if has_functions else 0)


@pytest.mark.parametrize("seed", range(3))
def test_ties_of_means_are_those_of_the_kernel(seed):
    # The largest mean of one batch is an integer times the step of what it is a mean of: ties are frequent.
    tf_keras.utils.set_random_seed(seed)
    layers = [L.Reshape((10, 8, 1)), L.Conv2D(6, 3, activation="relu"), L.DepthwiseConv2D(3)]
    layers += [L.GlobalAveragePooling2D(), L.Dense(4)]
    q = kqat.quantize(tf_keras.Sequential([L.Input((20, 4)), *layers]))
    q.compile("sgd", "mse", run_eagerly=True)
    q.fit(X, np.zeros((len(X), 4)), batch_size=len(X), verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q), X).mismatches == 0


def test_a_model_with_rounded_biases_comes_back_from_its_file(tmp_path):
    q = trained(L.Conv1D(6, 3, activation="relu"), L.Flatten(), L.Dense(3, activation="softmax"))
    q.save(tmp_path / "q.keras")
    loaded = kqat.legacy.load_model(tmp_path / "q.keras")
    np.testing.assert_array_equal(np.array(loaded(X)), np.array(q(X)))
    stripped = kqat.strip_fake_quant(q)
    np.testing.assert_array_equal(stripped.layers[-1].bias.numpy(), q.layers[-1]._weight_vars[1][0].numpy())


def test_a_layer_called_twice_keeps_its_bias():
    one, two, dense = L.Input((4,)), L.Input((4,)), L.Dense(3)
    model = tf_keras.Model([one, two], L.Concatenate()([dense(one), dense(two)]))
    q = kqat.quantize(model)
    q.compile("sgd", "mse", run_eagerly=True)
    q.fit([X[:, 0], X[:, 1]], np.zeros((len(X), 6)), verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q), [X[:, 0], X[:, 1]]).max_lsb <= 1
