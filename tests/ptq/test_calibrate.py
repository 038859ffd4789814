"""Calibration: data in every form, ranges, the correction of means and variances, and failures."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import NotCalibratedError
from kqat.core.observers import Percentile
from kqat.layers import FakeQuant, Quantized
from kqat.ptq.correct import Moments
from tests.transforms import zoo

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(150, 8, 8, 3)).astype("float32")
BATCH = IMAGES[:64]


def network():
    """Three layers with BatchNorm, with a ReLU of their own, and with a bias only."""
    x = keras.Input((8, 8, 3), name="x")
    h = kl.Conv2D(6, 3, use_bias=False, name="conv")(x)
    h = kl.ReLU(name="relu")(kl.BatchNormalization(name="bn", momentum=0.8)(h))
    h = kl.Conv2D(5, 3, strides=2, activation="relu", name="own")(h)
    h = kl.Dense(7, name="dense")(kl.Flatten(name="flat")(h))
    h = kl.BatchNormalization(name="bn2", momentum=0.8)(h)
    return zoo.randomize(keras.Model(x, kl.Dense(4, name="head")(h), name="net"))


def quantized(bits=4, **kwargs):
    return kqat.quantize(network(), bits=bits, **kwargs)


def state(model):
    return [ops.convert_to_numpy(v) for v in model.variables]


def assert_same_state(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def wrapped(model, name) -> Quantized:
    return model.get_layer(name)


def drift(model, name):
    return [ops.convert_to_numpy(v) for v in wrapped(model, name).drift_variables]


# Data.


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return IMAGES[64 * index : 64 * (index + 1)], np.zeros(64)


def batches():
    return [IMAGES[start : start + 64] for start in (0, 64, 128)]


FORMS = {
    "array": lambda: IMAGES,
    "list with one array": lambda: [IMAGES],
    "dict": lambda: {"x": IMAGES},
    "tensor": lambda: ops.convert_to_tensor(IMAGES),
    "generator": lambda: (x for x in batches()),
    "iterable of pairs": lambda: ((x, np.zeros(len(x))) for x in batches()),
    "iterable of dicts": lambda: ({"x": x} for x in batches()),
    "PyDataset": Sequence,
}


@pytest.fixture(scope="module")
def calibrated():
    return state(kqat.calibrate(quantized(), IMAGES, verbose=0))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_means_the_same(form, calibrated):
    q = quantized()
    assert kqat.calibrate(q, FORMS[form](), verbose=0) is q
    assert_same_state(state(q), calibrated)


def test_several_inputs_in_a_list_and_by_name():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    model = zoo.randomize(keras.Model({"a": a, "b": b}, kl.Dense(2)(kl.Add()([kl.Dense(3)(a), b]))))
    x = {key: RNG.normal(size=(40, 3)).astype("float32") for key in "ab"}
    by_name, by_batch = (kqat.quantize(model, bits=8) for _ in range(2))
    kqat.calibrate(by_name, x, bias_correction=False, verbose=0)
    in_batches = [({k: v[i : i + 20] for k, v in x.items()}, 0) for i in (0, 20)]
    kqat.calibrate(by_batch, in_batches, bias_correction=False, verbose=0)
    assert_same_state(state(by_batch), state(by_name))
    functional = keras.Model([a, b], a + b * 2.0)
    pair = kqat.quantize(functional)
    kqat.calibrate(pair, [x["a"], x["b"]], verbose=0)
    assert all(layer.quantizer.is_calibrated for layer in pair.layers if isinstance(layer, FakeQuant))


def test_steps_limit_what_is_seen_and_what_is_taken():
    first, limited = quantized(), quantized()
    kqat.calibrate(first, BATCH, verbose=0)
    source = iter(batches())
    kqat.calibrate(limited, source, steps=1, verbose=0)
    assert_same_state(state(limited), state(first))
    assert len(list(source)) == 2


def test_progress_is_shown_on_request(capsys):
    kqat.calibrate(quantized(), IMAGES, verbose=1)
    assert "3/3" in capsys.readouterr().out
    kqat.calibrate(quantized(), IMAGES)  # three batches are few
    assert not capsys.readouterr().out


# Ranges and scales.


def test_golden_minmax_ranges():
    x = np.float32([[-1.0, 0.5], [3.0, 0.25]])
    dense = kl.Dense(2, use_bias=False, name="dense")
    model = zoo.chain((2,), dense, kl.ReLU())
    dense.set_weights([np.float32([[2.0, -1.0], [0.0, 1.0]])])  # outputs (-2, 1.5) and (6, -2.75)
    q = kqat.calibrate(kqat.quantize(model, bits=8), x, observer="minmax", verbose=0)
    first, last = (layer.quantizer.grid() for layer in q.layers if isinstance(layer, FakeQuant))
    steps = [float(ops.convert_to_numpy(grid.scale)) for grid in (first, last)]
    np.testing.assert_array_equal(steps, np.float32([4 / 255, 6 / 255]))
    bounds = [float(ops.convert_to_numpy(v)) for grid in (first, last) for v in (grid.qmin, grid.qmax)]
    assert bounds == [-64, 191, 0, 255]  # 1 / (4 / 255) = 63.75


def test_observers_differ_and_a_function_can_make_one():
    grids = []
    for observer in ("minmax", "percentile", "mse", "ema", lambda: Percentile(90.0)):
        q = kqat.calibrate(quantized(), IMAGES, observer=observer, verbose=0)
        (head,) = [f for f in q.layers if isinstance(f, FakeQuant) and f.quantizer.bits == 4][:1]
        grids.append(float(ops.convert_to_numpy(head.quantizer.grid().scale)))
    assert len(set(grids)) == len(grids)
    assert max(grids) == grids[0]


# Correction.

CORRECTED = ("conv", "own", "dense", "head")


def float_outputs(name):
    """What an operation of the float network puts out before its activation, channels last."""
    model = network()
    if name == "own":
        model.get_layer(name).activation = keras.activations.linear
    y = ops.convert_to_numpy(keras.Model(model.input, model.get_layer(name).output)(BATCH, training=False))
    return y.reshape(-1, y.shape[-1])


def quantized_outputs(q, name):
    """The same in the quantized network, less the drift."""
    seen = []
    wrapped(q, name).watch_with(lambda _, output: seen.append(ops.convert_to_numpy(output)))
    q(BATCH, training=False)
    wrapped(q, name).watch_with(None)
    return seen[0].reshape(-1, seen[0].shape[-1])


@pytest.mark.parametrize("name", CORRECTED)
def test_outputs_get_back_their_mean_and_variance(name):
    real = float_outputs(name)
    q = kqat.calibrate(quantized(bits=3, boundary_bits=3), BATCH, verbose=0)
    found = quantized_outputs(q, name)
    mean, *variance = drift(q, name)
    deviation = real.std(0)
    # One batch, so that every layer has seen its input as it is now. Means of float32 values of order 1.
    np.testing.assert_allclose((found.mean(0) - mean) / deviation, real.mean(0) / deviation, atol=1e-4)
    assert np.abs(mean / deviation).max() > 0.01
    for one in variance:
        norm = wrapped(q, name).batchnorm
        total = ops.convert_to_numpy(norm.moving_variance) + norm.epsilon
        np.testing.assert_allclose(1 + one / total, found.var(0) / real.var(0), rtol=1e-4)


def test_what_is_corrected_is_a_batchnorm_or_a_bias():
    q = quantized()
    assert [len(drift(q, name)) for name in CORRECTED] == [2, 1, 2, 1]
    bare = kqat.quantize(zoo.chain((3,), kl.Dense(4, use_bias=False, name="d")))
    assert wrapped(bare, "d").drift is None


def test_own_activation_comes_back():
    q = quantized()
    kqat.calibrate(q, IMAGES, verbose=0)
    assert wrapped(q, "own").operation.activation is keras.activations.relu


def test_correction_brings_outputs_nearer_to_those_in_float():
    expected = zoo.results(network(), IMAGES)[0]
    errors = []
    for correct in (True, False):
        q = kqat.calibrate(quantized(bits=3), IMAGES, bias_correction=correct, effort=[], verbose=0)
        errors.append(np.mean((zoo.results(q, IMAGES)[0] - expected) ** 2))
    assert errors[0] < 0.8 * errors[1]


def test_calibrating_again_starts_anew(calibrated):
    q = kqat.calibrate(quantized(), BATCH * 2 + 1, verbose=0)
    assert_same_state(state(kqat.calibrate(q, IMAGES, verbose=0)), calibrated)
    kqat.calibrate(q, IMAGES, bias_correction=False, verbose=0)
    assert not any(v.any() for name in CORRECTED for v in drift(q, name))


def test_only_the_first_batches_are_kept(monkeypatch):
    both = np.concatenate([BATCH, BATCH[np.arange(64) % 10]])  # nothing new to the ranges, other means
    q, first = quantized(), quantized()
    kqat.calibrate(first, BATCH, observer="minmax", verbose=0)
    kqat.calibrate(q, both, observer="minmax", verbose=0)
    assert not np.array_equal(drift(q, "conv")[0], drift(first, "conv")[0])
    monkeypatch.setattr("kqat.ptq.calibrate.KEPT_BYTES", 70 * IMAGES[0].nbytes)
    kqat.calibrate(q, both, observer="minmax", verbose=0)
    assert_same_state(state(q), state(first))


def test_moments_of_parts_are_those_of_the_whole():
    x = RNG.normal(3.0, 2.0, size=(100, 4))
    found = Moments()
    for part in (x[:1], x[1:30], x[30:]):
        found.add(len(part), part.mean(0), part.var(0))
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.variance, x.var(0), rtol=1e-13)


def test_constant_channels_keep_their_variance():
    model = zoo.chain((3,), kl.Dense(4, use_bias=False, name="d"), kl.BatchNormalization())
    kernel = RNG.normal(size=(3, 4))
    kernel[:, 1] = 0
    model.layers[0].set_weights([kernel])
    q = kqat.calibrate(kqat.quantize(model, bits=4), RNG.normal(size=(20, 3)), verbose=0)
    mean, variance = drift(q, "d")
    assert mean[1] == variance[1] == 0
    assert np.isfinite([mean, variance]).all()


# What comes after.


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_exported_file_is_bit_equal(bits):
    q = kqat.calibrate(quantized(bits), IMAGES, verbose=0)
    assert all(v.any() for name in CORRECTED for v in drift(q, name))
    assert kqat.verify(q, kqat.export_tflite(q), IMAGES).max_lsb == 0


def test_drift_reaches_the_outputs():
    q = kqat.calibrate(quantized(), IMAGES, verbose=0)
    before = zoo.results(q, IMAGES)[0]
    for name in ("dense", "head"):
        wrapped(q, name).drift.reset()
        after = zoo.results(q, IMAGES)[0]
        assert not np.array_equal(before, after)
        before = after


def test_strip_is_exact_after_calibration():
    q = kqat.calibrate(quantized(), IMAGES, verbose=0)
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(q), IMAGES), zoo.results(network(), IMAGES))


def test_drift_is_saved(tmp_path):
    q = kqat.calibrate(quantized(), IMAGES, verbose=0)
    loaded = zoo.reloaded(q, tmp_path)
    assert_same_state(state(loaded), state(q))
    zoo.assert_equal(zoo.results(loaded, IMAGES), zoo.results(q, IMAGES))


@pytest.mark.parametrize("eager", [True, False])
def test_training_forgets_the_drift_of_a_batchnorm(eager):
    q = kqat.calibrate(quantized(), IMAGES, verbose=0)
    before = {name: drift(q, name) for name in CORRECTED}
    q.compile("sgd", "mse", run_eagerly=eager)
    for _ in range(2):
        q.train_on_batch(IMAGES[:32], np.zeros((32, 4), "float32"))
    for name in CORRECTED:
        rate = 1.0 if wrapped(q, name).batchnorm is None else 0.8 * 0.8
        for old, new in zip(before[name], drift(q, name), strict=True):
            np.testing.assert_allclose(new, old * rate, rtol=1e-6)


def test_drift_stays_while_statistics_stand_still():
    q = kqat.calibrate(quantized(), IMAGES, verbose=0)
    wrapped(q, "conv").set_batchnorm_frozen(True)
    wrapped(q, "dense").batchnorm.trainable = False
    before = {name: drift(q, name) for name in CORRECTED}
    zoo.train(q, IMAGES[:32], steps=2)
    for name in CORRECTED:
        assert_same_state(drift(q, name), before[name])


@pytest.mark.parametrize("how", ["frozen", "not trainable"])
def test_standing_statistics_count_with_their_drift_in_training(how):
    norm = kl.BatchNormalization()
    layer = Quantized(kl.Dense(4, use_bias=False), {"kernel": "minmax"}, batchnorm=norm)
    x = RNG.normal(size=(20, 3)).astype("float32")
    layer.build(x.shape)
    zoo.randomize(norm)
    mean, variance = np.float32([0.5, -1.0, 0.0, 2.0]), np.float32([1.0, 0.5, -0.25, 0.0])
    layer.drift.set(mean, variance)
    if how == "frozen":
        layer.set_batchnorm_frozen(True)
    else:
        norm.trainable = False
    found, inference = (ops.convert_to_numpy(layer(x, training=training)) for training in (True, False))
    norm.moving_mean.assign(norm.moving_mean + mean)
    norm.moving_variance.assign(norm.moving_variance + variance)
    layer.drift.reset()
    expected = ops.convert_to_numpy(layer(x, training=False))
    np.testing.assert_array_equal(inference, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)  # other orders of the operations


# Failures.


def _failing_after(count):
    for _ in range(count):
        yield BATCH
    raise OSError("disk gone")


BAD = IMAGES.copy()
BAD[-1, 0, 0, 0] = np.nan
FAILURES = {
    "no rows": (lambda: IMAGES[:0], NotCalibratedError, "no batch"),
    "no batches": (lambda: [], NotCalibratedError, "no batch"),
    "NaN in the last batch": (lambda: BAD, ValueError, "NaN or infinity"),
    "data breaks off": (lambda: _failing_after(2), OSError, "disk gone"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure_leaves_the_model_as_it_was(name):
    data, error, message = FAILURES[name]
    q = kqat.calibrate(quantized(), IMAGES, verbose=0)
    before, x = state(q), IMAGES[:4]
    expected = zoo.results(q, x)
    with pytest.raises(error, match=message):
        kqat.calibrate(q, data(), verbose=0)
    assert_same_state(state(q), before)
    zoo.assert_equal(zoo.results(q, x), expected)  # nobody observes any more


def test_failure_of_the_correction_leaves_the_model_as_it_was(monkeypatch):
    q = kqat.calibrate(quantized(), IMAGES, verbose=0)
    before, expected = state(q), zoo.results(q, IMAGES[:4])
    calls = []

    def ratio(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 1.0

    monkeypatch.setattr("kqat.ptq.correct._ratio", ratio)
    with pytest.raises(KeyboardInterrupt):
        kqat.calibrate(q, IMAGES[:100] * 3, verbose=0)
    assert_same_state(state(q), before)
    zoo.assert_equal(zoo.results(q, IMAGES[:4]), expected)


def test_unknown_observer():
    q = quantized()
    before = state(q)
    with pytest.raises(ValueError, match="Unknown observer.*'minmx'.*minmax"):
        kqat.calibrate(q, IMAGES, observer="minmx", verbose=0)
    assert_same_state(state(q), before)


def test_model_without_quantizers():
    with pytest.raises(NotCalibratedError, match=r"'net' has nothing to calibrate.*quantize"):
        kqat.calibrate(network(), IMAGES, verbose=0)
