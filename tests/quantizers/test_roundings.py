"""Chosen roundings: levels beside the nearest, as state of the quantizer of a weight."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import kqat
from kqat import quantizers
from kqat.core import reference
from kqat.core.grid import Grid
from tests.gradients import gradient
from tests.quantizers.cases import numpy, numpy_grid

W = np.random.default_rng(0).normal(0, 1, (7, 6)).astype("float32")


def quantizer(bits=3, w=W):
    made = quantizers.LSQ(bits, axis=-1, narrow_range=True)
    made.initialize(w)
    return made


def chosen(bits=3, w=W, seed=0):
    """Returns a quantizer with random levels, and the levels."""
    made = quantizer(bits, w)
    qmin, qmax = (int(bound) for bound in reference.level_bounds(bits, True, True))
    levels = np.random.default_rng(seed).integers(qmin, qmax + 1, w.shape).astype("float32")
    made.set_levels(w, levels)
    return made, levels


@given(bits=st.integers(2, 8), seed=st.integers(0, 99), spread=st.sampled_from([0.01, 1.0, 50.0]))
@settings(max_examples=30, deadline=None)
def test_weights_take_the_levels_that_were_chosen(bits, seed, spread):
    w = np.random.default_rng(seed).normal(0, spread, (5, 4)).astype("float32")
    made, levels = chosen(bits, w, seed)
    offset = numpy(made.offset)
    np.testing.assert_array_equal(numpy(made.to_levels(ops.convert_to_tensor(w))), levels)
    np.testing.assert_array_equal(reference.to_levels(w, numpy_grid(made), offset), levels)
    expected = reference.lsq(w, numpy(made.scale), bits, True, narrow_range=True, offset=offset)
    np.testing.assert_array_equal(numpy(made(ops.convert_to_tensor(w))), expected)
    np.testing.assert_array_equal(expected, levels * numpy(made.scale))


def test_nothing_is_chosen_at_first_and_nearest_levels_need_no_offset():
    made = quantizer()
    assert not made.is_chosen
    made.set_levels(W * 10, numpy(made.to_levels(ops.convert_to_tensor(W * 10))))
    assert not made.is_chosen


def test_gradient_is_straight_through_around_the_chosen_levels():
    made, levels = chosen()
    dy = np.random.default_rng(1).normal(size=W.shape).astype("float32")

    def output(x, ratio):
        with keras.StatelessScope(state_mapping=[(made.ratio, ratio)]):
            return made(x)

    base, offset = numpy(made.base), numpy(made.offset)
    dx, dratio = gradient(output, W, np.ones_like(base), upstream=dy)
    v = W.astype("float64") / base
    inside = np.abs(v + offset) <= 3
    np.testing.assert_array_equal(dx, np.where(inside, dy, 0))
    slope = np.where(np.abs(v + offset) < 3, levels - v, levels)
    expected = (dy * slope).sum(axis=0, keepdims=True) / np.sqrt(7 * 3)
    np.testing.assert_allclose(base * dratio, expected, rtol=1e-3, atol=1e-4)  # float32 sums


@pytest.mark.parametrize(
    "change",
    [lambda q: q.set_bits(4), lambda q: q.set_scale(numpy(q.base)), lambda q: q.initialize(W)],
    ids=["bits", "scale", "weights"],
)
def test_another_grid_starts_from_the_nearest_levels(change):
    made, _ = chosen()
    assert made.is_chosen
    change(made)
    assert not made.is_chosen


@pytest.mark.parametrize("levels", [np.full(W.shape, 4.0), np.full(W.shape, 0.5)], ids=["too high", "half"])
def test_levels_off_the_grid_are_refused(levels):
    with pytest.raises(ValueError, match=r"Received: .*Use -3 to 3"):
        quantizer().set_levels(W, levels)


def test_levels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"Received: levels of shape \(2, 6\)"):
        quantizer().set_levels(W, np.zeros((2, 6)))
    with pytest.raises(ValueError, match="Use the quantizer of a weight"):
        quantizers.LSQ(4).set_levels(W, W * 0)


def test_other_tensors_than_the_weight_are_rounded_to_the_nearest():
    made, _ = chosen()
    x = W[:3]
    grid = Grid(numpy(made.scale), *reference.level_bounds(3, True, True))
    np.testing.assert_array_equal(numpy(made(ops.convert_to_tensor(x))), reference.fake_quant(x, grid))


# In models.


def network(bits=3):
    """Returns a quantized model with levels that were chosen at random, and data."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    h = keras.layers.Conv2D(4, 3, use_bias=False, name="a")(inputs)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization()(h))
    h = keras.layers.Conv2D(5, 3, name="b")(h)
    h = keras.layers.Dense(4, name="c")(keras.layers.Flatten()(h))
    model = keras.Model(inputs, keras.layers.Dense(2, name="d")(h))
    x = np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype("float32")
    q = kqat.calibrate(kqat.quantize(model, bits=bits), x, effort=[], verbose=0)
    for name in "bc":
        layer = q.get_layer(name)
        made, w = layer.weight_quantizers["kernel"], numpy(layer.operation.kernel)
        levels = numpy(made.to_levels(ops.convert_to_tensor(w)))
        flips = np.random.default_rng(1).integers(-1, 2, w.shape)
        made.set_levels(w, np.clip(levels + flips, -3, 3))
    return model, q, x


def test_files_and_stripped_models_keep_what_they_promise(tmp_path):
    model, q, x = network()
    y = q.predict(x, verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q), x).max_lsb == 0
    q.save(tmp_path / "q.keras")
    again = kqat.load_model(tmp_path / "q.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), y)
    assert again.get_layer("b").weight_quantizers["kernel"].is_chosen
    packed = kqat.load_packed(kqat.save_packed(q, tmp_path / "q.kqat"))
    np.testing.assert_array_equal(packed.predict(x, verbose=0), y)
    assert not packed.get_layer("b").weight_quantizers["kernel"].is_chosen
    for ours, theirs in zip(kqat.strip_fake_quant(q).weights, model.weights, strict=True):
        np.testing.assert_array_equal(numpy(ours), numpy(theirs))


def test_training_starts_from_the_chosen_levels_and_keeps_the_offsets():
    _, q, x = network()
    layer = q.get_layer("b")
    made = layer.weight_quantizers["kernel"]
    before = numpy(made.offset)
    q.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    levels = numpy(made.to_levels(ops.convert_to_tensor(layer.operation.kernel)))
    q.fit(x, np.zeros((32, 2)), verbose=0)
    np.testing.assert_array_equal(numpy(made.offset), before)
    np.testing.assert_array_equal(
        numpy(made.to_levels(ops.convert_to_tensor(layer.operation.kernel))), levels
    )


def test_files_without_offsets_load_and_models_without_them_write_none(tmp_path):
    _, q, x = network()
    plain = kqat.calibrate(q, x, effort=[], verbose=0)
    store: dict = {}
    made = plain.get_layer("b").weight_quantizers["kernel"]
    made.save_own_variables(store)
    assert not any(value is made.offset for value in store.values())
    plain.save_weights(tmp_path / "plain.weights.h5")
    y = plain.predict(x, verbose=0)
    _, other, _ = network()
    other.load_weights(tmp_path / "plain.weights.h5")
    assert not other.get_layer("b").weight_quantizers["kernel"].is_chosen
    np.testing.assert_array_equal(other.predict(x, verbose=0), y)
