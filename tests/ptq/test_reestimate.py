"""Re-estimated BatchNorm: population statistics, whatever holds the layer; all else as it was."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import NotCalibratedError
from tests.eager import EAGERLY
from tests.few import few_on_jax

RNG = np.random.default_rng(0)
X = RNG.normal(1.0, 2.0, (150, 6)).astype("float32")
IMAGES = RNG.normal(size=(96, 8, 8, 3)).astype("float32")


def arrays(variables):
    return [np.array(ops.convert_to_numpy(v)) for v in variables]


def moments(norm):
    return arrays([norm.moving_mean, norm.moving_variance])


def assert_moments(norm, outputs):
    """The statistics are those of all rows together; float32 sums of some hundred values."""
    rows = np.asarray(outputs, np.float64).reshape(-1, outputs.shape[-1])
    mean, variance = moments(norm)
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, rows.var(0), rtol=1e-5, atol=1e-6)


def plain(**settings):
    inputs = keras.Input((6,))
    h = kl.Dense(5, use_bias=False, name="dense")(inputs)
    return keras.Model(inputs, kl.BatchNormalization(name="bn", **settings)(h))


def network():
    inputs = keras.Input((8, 8, 3))
    h = kl.Conv2D(6, 3, use_bias=False, name="conv")(inputs)
    h = kl.ReLU(name="relu")(kl.BatchNormalization(name="bn")(h))
    h = kl.Dropout(0.5, seed=3, name="drop")(h)
    h = kl.GlobalAveragePooling2D(name="pool")(h)
    return keras.Model(inputs, kl.BatchNormalization(name="bn2")(kl.Dense(4, name="head")(h)))


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[50 * index : 50 * (index + 1)], np.zeros(50)


FORMS = {
    "array": lambda: X,
    "tensor": lambda: ops.convert_to_tensor(X),
    "list of a batch": lambda: [X],
    "batches": lambda: iter([X[:50], X[50:]]),
    "pairs": lambda: [(X[:120], np.zeros(120)), (X[120:], np.zeros(30))],
    "dataset": Batches,
}


@pytest.mark.parametrize("form", few_on_jax(FORMS, "array", "tensor"))
def test_the_statistics_are_those_of_the_whole_data(form):
    model = plain()
    assert kqat.reestimate_batchnorm(model, FORMS[form](), batch_size=64) is model  # 64 + 64 + 22 rows
    assert_moments(model.get_layer("bn"), X @ arrays([model.get_layer("dense").kernel])[0])


def test_statistics_that_are_nan_or_old_have_no_part():
    model = plain(momentum=0.999)
    norm = model.get_layer("bn")
    norm.moving_mean.assign(np.full(5, np.nan))
    norm.moving_variance.assign(np.full(5, 1e9))
    kqat.reestimate_batchnorm(model, X)
    assert_moments(norm, X @ arrays([model.get_layer("dense").kernel])[0])
    assert norm.momentum == 0.999


def test_a_layer_used_twice_has_the_statistics_of_both_uses():
    one, two = keras.Input((6,)), keras.Input((6,))
    norm = kl.BatchNormalization()
    model = keras.Model([one, two], kl.add([norm(one), norm(two)]))
    kqat.reestimate_batchnorm(model, [X, 3 * X + 1], batch_size=40)
    assert_moments(norm, np.concatenate([X, 3 * X + 1]))


def test_layers_of_nested_and_of_sequential_models_are_found():
    inner = keras.Sequential([keras.Input((6,)), kl.BatchNormalization(name="inner")])
    model = keras.Sequential([keras.Input((6,)), kl.Rescaling(2.0), inner])
    kqat.reestimate_batchnorm(model, X)
    assert_moments(inner.layers[-1], 2 * X)


@pytest.mark.repeats
def test_nothing_else_changes():
    model = kqat.quantize(network(), bits=4)
    model.compile("sgd", "mse", **EAGERLY)
    model.fit(IMAGES, np.zeros((96, 4)), verbose=0)
    norms = [v for v in model.variables if v.name in ("moving_mean", "moving_variance")]
    others = [v for v in model.variables if all(v is not n for n in norms) and "drift" not in v.path]
    before, statistics = arrays(others), arrays(norms)
    kqat.reestimate_batchnorm(model, IMAGES)
    for a, b in zip(arrays(others), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(norms) == 4
    assert all((a != b).any() for a, b in zip(arrays(norms), statistics, strict=True))


def test_a_fused_batchnorm_gets_the_moments_of_the_quantized_operation():
    model = kqat.quantize(network(), bits=2)
    kqat.calibrate(model, IMAGES)
    conv = model.get_layer("conv")
    conv.set_batchnorm_frozen(True)
    assert np.abs(arrays(conv.drift_variables)[0]).max() > 0
    kqat.reestimate_batchnorm(model, IMAGES, batch_size=96)
    weights = conv.weight_quantizers["kernel"](ops.convert_to_tensor(conv.operation.kernel), training=False)
    grid = next(layer for layer in model.layers if isinstance(layer, kqat.layers.FakeQuant))
    assert_moments(conv.batchnorm, ops.convert_to_numpy(ops.conv(grid(IMAGES), weights)))
    assert all((a == 0).all() for a in arrays(conv.drift_variables))
    assert float(conv.batchnorm_frozen) == 1.0


def test_what_is_not_trainable_stays():
    model = network()
    model.get_layer("bn").trainable = False
    before = moments(model.get_layer("bn"))
    kqat.reestimate_batchnorm(model, IMAGES)
    for a, b in zip(moments(model.get_layer("bn")), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert moments(model.get_layer("bn2"))[0].any()


def test_steps_end_the_data():
    model = plain()
    kqat.reestimate_batchnorm(model, X, steps=2, batch_size=30)
    assert_moments(model.get_layer("bn"), X[:60] @ arrays([model.get_layer("dense").kernel])[0])


def test_weights_that_oscillate_are_put_right():
    """The averages are of a training in which a weight kept changing its sign; the last sign counts."""
    inputs = keras.Input((6,))
    h = kqat.layers.QuantDense(3, kernel_quantizer="ste_sign", use_bias=False, name="binary")(inputs)
    model = keras.Model(inputs, kl.BatchNormalization(name="bn", momentum=0.9, scale=False)(h))
    model.compile("sgd", "mse")
    kernel = model.get_layer("binary").kernel
    for sign in (1, -1) * 20:
        kernel.assign(np.full((6, 3), sign * 1e-3))
        model(X, training=True)
    off = ops.convert_to_numpy(model(X, training=False)).mean(0)
    kqat.reestimate_batchnorm(model, X)
    right = ops.convert_to_numpy(model(X, training=False)).mean(0)
    assert np.abs(off).min() > 0.5
    np.testing.assert_allclose(right, 0, atol=1e-5)


# Bad inputs.


@pytest.mark.parametrize("data", [X[:0], iter([])], ids=["no rows", "no batches"])
def test_no_data_is_refused(data):
    with pytest.raises(NotCalibratedError, match="at least one batch"):
        kqat.reestimate_batchnorm(plain(), data)


def test_a_model_without_batchnorm_is_refused():
    model = keras.Sequential([keras.Input((6,)), kl.Dense(2)])
    with pytest.raises(NotCalibratedError, match="no BatchNorm"):
        kqat.reestimate_batchnorm(model, X)


@pytest.mark.parametrize("failure", ["nan", "iterator"])
def test_a_failure_leaves_the_model_as_it_was(failure):
    def broken():
        yield X
        raise RuntimeError("no more")

    model = plain()
    kqat.reestimate_batchnorm(model, X)
    before = arrays(model.variables)
    data, error = (np.where(X > 3, np.nan, X), ValueError) if failure == "nan" else (broken(), RuntimeError)
    with pytest.raises(error, match="not finite|no more"):
        kqat.reestimate_batchnorm(model, data)
    for a, b in zip(arrays(model.variables), before, strict=True):
        np.testing.assert_array_equal(a, b)
    norm = model.get_layer("bn")
    assert norm.momentum == 0.99
    norm.moving_mean.assign(np.ones(5))  # the recorder is gone
    np.testing.assert_array_equal(moments(norm)[0], 1)
