"""Weights that read as quantized within a scope."""

import threading
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from keras import ops

import kqat


def numpy(x):
    return np.array(ops.convert_to_numpy(x))


def net():
    layers = kqat.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.QuantConv2D(4, 3, kernel_quantizer="ste_sign", kernel_constraint="weight_clip"),
            layers.QuantSeparableConv2D(
                3, 2, depthwise_quantizer="ste_tern", pointwise_quantizer="approx_sign"
            ),
            keras.layers.Flatten(),
            layers.QuantDense(3, input_quantizer="ste_sign", kernel_quantizer="magnitude_aware_sign"),
        ]
    )


def kernels(model):
    conv, separable, _, dense = model.layers
    return [
        numpy(k) for k in (conv.kernel, separable.depthwise_kernel, separable.pointwise_kernel, dense.kernel)
    ]


def test_weights_are_quantized_inside_and_latent_outside():
    model = net()
    latent = kernels(model)
    with kqat.quantized_scope(True):
        conv, depthwise, pointwise, dense = kernels(model)
        inside = [w for w in model.get_weights() if w.shape == conv.shape][0]
        with kqat.quantized_scope(False):
            for old, new in zip(latent, kernels(model), strict=True):
                np.testing.assert_array_equal(old, new)
        np.testing.assert_array_equal(kernels(model)[0], conv)
    np.testing.assert_array_equal(inside, np.where(latent[0] >= 0, 1, -1))
    assert set(np.unique(depthwise)) <= {-1, 0, 1}
    np.testing.assert_array_equal(pointwise, np.where(latent[2] >= 0, 1, -1))
    assert len(np.unique(np.abs(dense))) == 3  # a scale for each unit
    for old, new in zip(latent, kernels(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_file_that_is_saved_inside_holds_binary_weights_and_computes_the_same(tmp_path):
    model, x = net(), np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")
    before = model.predict(x, verbose=0)
    with kqat.quantized_scope(True):
        model.save(tmp_path / "binary.keras")
    loaded = kqat.load_model(tmp_path / "binary.keras")
    np.testing.assert_array_equal(np.abs(numpy(loaded.layers[0].kernel)), 1)
    # The mean of weights of one magnitude is that magnitude, up to the rounding of the sum.
    np.testing.assert_allclose(loaded.predict(x, verbose=0), before, rtol=1e-5)


def test_weights_that_are_set_inside_stay():
    model = net()
    weights = [np.ones_like(w) for w in kernels(model)]
    with kqat.quantized_scope(True):
        model.layers[0].kernel.assign(-weights[0])
    np.testing.assert_array_equal(kernels(model)[0], -weights[0])


def test_the_scope_ends_after_an_error():
    model = net()
    latent = kernels(model)
    try:
        with kqat.quantized_scope(True):
            raise KeyError
    except KeyError:
        pass
    np.testing.assert_array_equal(kernels(model)[0], latent[0])


def test_layers_in_a_metrics_scope_count():
    def counted(**options):
        return kqat.layers.QuantDense(
            2, kernel_quantizer="ste_sign", **options
        ).kernel_quantizer.quantizer_metrics

    with kqat.context.metrics_scope(["flip_ratio"]) as metrics:
        assert metrics == ("flip_ratio",)
        assert list(counted()) == ["flip_ratio"]
        assert list(counted(metrics=[])) == []
        with kqat.context.metrics_scope():
            assert list(counted()) == ["flip_ratio"]
    assert list(counted()) == []


def test_unknown_metrics_are_refused():
    with pytest.raises(ValueError, match="Unknown metric"), kqat.context.metrics_scope(["flips"]):
        pass


def test_a_scope_holds_for_the_thread_that_enters_it():
    """Eight threads, half of them in a scope, look at one model and at models of their own."""
    shared = net()
    latent = kernels(shared)
    barrier, wrong = threading.Barrier(8), []

    def look(k):
        model = net()
        own = kernels(model)
        barrier.wait(30)
        for _ in range(3):
            with kqat.quantized_scope(k % 2 == 0):
                for one, before in ((shared, latent), (model, own)):
                    barrier.wait(30)
                    same = np.array_equal(kernels(one)[0], before[0])
                    signs = np.array_equal(kernels(one)[0], np.where(before[0] >= 0, 1, -1))
                    wrong.extend([k] if (same, signs) != (k % 2 == 1, k % 2 == 0) else [])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
    assert not wrong
    for old, new in zip(latent, kernels(shared), strict=True):
        np.testing.assert_array_equal(old, new)


def test_predictions_inside_and_after_a_scope_are_the_same():
    """A function that a backend compiles within the scope does not keep the quantized weights."""
    model, x = net(), np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")
    with kqat.quantized_scope(True):
        model.predict(x, verbose=0)
    model.layers[0].kernel.assign(-model.layers[0].kernel)
    fresh = keras.models.clone_model(model)
    fresh.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(x, verbose=0), fresh.predict(x, verbose=0))


def test_weights_that_are_loaded_inside_stay(tmp_path):
    model, other = net(), net()
    other.save_weights(tmp_path / "x.weights.h5")
    with kqat.quantized_scope(True):
        model.load_weights(tmp_path / "x.weights.h5")
        with kqat.quantized_scope(False):
            expected = kernels(other)
        for old, new in zip(expected, kernels(model), strict=True):
            np.testing.assert_array_equal(old, new)
    for old, new in zip(kernels(other), kernels(model), strict=True):
        np.testing.assert_array_equal(old, new)
