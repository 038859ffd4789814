"""The ladder: steps by name, kept only where they pay; and what the steps that come with kqat promise."""

from importlib import import_module

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat import ptq
from kqat.ptq import registry
from kqat.ptq.retune import SMALLEST_SHARE, Affine, retune
from tests.transforms import zoo

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(320, 8, 8, 3)).astype("float32")


def network():
    """Returns a model with BatchNorm, a branch, a ReLU of its own and a bias."""
    x = keras.Input((8, 8, 3))
    h = kl.ReLU()(kl.BatchNormalization(name="bn")(kl.Conv2D(6, 3, padding="same", use_bias=False)(x)))
    g = kl.BatchNormalization()(kl.Conv2D(6, 3, padding="same", use_bias=False)(h))
    h = kl.ReLU()(kl.Add()([h, g]))
    h = kl.DepthwiseConv2D(3, strides=2, activation="relu", name="own")(h)
    return zoo.randomize(keras.Model(x, kl.Dense(4, name="head")(kl.Flatten()(h)), name="net"))


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(import_module("kqat.ptq.reconstruct"), "EPOCHS", {"balanced": 2, "thorough": 4})


@pytest.fixture
def registered(monkeypatch):
    """Lets a test register steps."""
    monkeypatch.setattr(registry, "_STEPS", dict(registry._STEPS))


def state(model):
    return [np.array(ops.convert_to_numpy(v)) for v in model.variables]


def error(q, model):
    y, f = (m.predict(IMAGES, verbose=0) for m in (q, model))
    return float(np.mean((y - f) ** 2))


def calibrated(model, effort, bits=3, **kwargs):
    return kqat.calibrate(kqat.quantize(model, bits=bits), IMAGES, effort=effort, verbose=0, **kwargs)


# Registration.


def test_efforts_contain_the_lesser_ones_in_order():
    names = [[step.name for step in ptq.find_steps(effort)] for effort in ("fast", "balanced", "thorough")]
    assert names[0] == ["gptq"]
    assert names[1] == names[2] == ["gptq", "reconstruct"]


def test_order_is_that_of_the_steps(registered):
    ptq.step("last", after=["first"])(print)
    ptq.step("first")(print)
    assert [step.name for step in ptq.find_steps(["last", "first"])] == ["first", "last"]
    assert [step.name for step in ptq.find_steps(["last"])] == ["last"]


@pytest.mark.parametrize("effort", ["fats", ["gtpq"]])
def test_unknown_efforts_and_steps_are_refused(effort, model):
    with pytest.raises(ValueError, match=r"Unknown effort or step. Received: .* Use one of"):
        kqat.calibrate(kqat.quantize(model, bits=4), IMAGES, effort=effort)
    with pytest.raises(ValueError, match=r"Received: 'quick'. Use one of fast"):
        ptq.step("mine", effort="quick")


# Keeping what pays.


def test_a_step_that_does_harm_is_taken_back(registered, model, capsys):
    @ptq.step("harm")
    def harm(work):
        for weight in work.weights():
            weight.quantizer.set_scale(9 * weight.scale)

    plain, harmed = calibrated(model, []), kqat.quantize(model, bits=3)
    kqat.calibrate(harmed, IMAGES, effort=["harm"], verbose=1)
    for a, b in zip(state(harmed), state(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("ranges ", "harm"))]
    assert [line.split()[0] for line in lines] == ["ranges", "harm"]
    assert lines[1].endswith("taken back")


def test_a_step_sees_other_samples_than_it_is_judged_by(registered, model):
    seen = {}

    @ptq.step("look")
    def look(work):
        seen.update(
            batches=len(work.batches), held=len(work.held), apart=work.held[0] is not work.batches[-1]
        )
        return False

    calibrated(model, ["look"])
    assert seen == {"batches": 4, "held": 1, "apart": True}


def test_a_step_that_fails_leaves_the_model_as_it_was(registered, model):
    @ptq.step("fail")
    def fail(work):
        next(work.weights()).quantizer.set_scale(1.0 + next(work.weights()).scale)
        raise RuntimeError("no")

    q = kqat.quantize(model, bits=3)
    before = state(q)
    with pytest.raises(RuntimeError, match="no"):
        kqat.calibrate(q, IMAGES, effort=["gptq", "fail"], verbose=0)
    for a, b in zip(state(q), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_8_bits_have_nothing_to_choose(model):
    fast, plain = calibrated(model, "fast", bits=8), calibrated(model, [], bits=8)
    for a, b in zip(state(fast), state(plain), strict=True):
        np.testing.assert_array_equal(a, b)


# What the steps do.


@pytest.mark.parametrize(
    ("effort", "settings"),
    [(["gptq"], {}), (["reconstruct"], {"bits": (4, 2), "observer": "minmax"}), ("balanced", {})],
    ids=["gptq", "reconstruct", "balanced"],
)
def test_outputs_come_nearer_and_the_weights_stay(effort, settings, model):
    plain, q = calibrated(model, [], **settings), calibrated(model, effort, **settings)
    assert error(q, model) < error(plain, model)
    for ours, theirs in zip(kqat.strip_fake_quant(q).weights, model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs))
    kernels = [w.weight_quantizers["kernel"] for w in q.layers if getattr(w, "weight_quantizers", None)]
    assert any(getattr(kernel, "is_chosen", False) for kernel in kernels)
    assert kqat.verify(q, kqat.export_tflite(q), IMAGES[:64]).max_lsb == 0
    assert all(v.trainable for v in q.get_layer("own").operation.trainable_variables)


def test_explicit_observers_keep_the_steps_of_weights(model):
    q = kqat.quantize(model, bits=3)
    kernel = q.get_layer("own").weight_quantizers["kernel"]
    before = ops.convert_to_numpy(kernel.scale)
    kqat.calibrate(q, IMAGES, observer="minmax", effort=["gptq"], verbose=0)
    np.testing.assert_array_equal(ops.convert_to_numpy(kernel.scale), before)


def test_a_seed_repeats_what_was_learned(model, monkeypatch):
    monkeypatch.setattr(import_module("kqat.ptq.reconstruct"), "EPOCHS", {"balanced": 1})
    settings = {"bits": (4, 2), "observer": "minmax"}
    runs = [calibrated(model, ["reconstruct"], seed=seed, **settings) for seed in (1, 1, 2)]
    first, second, other = (state(q) for q in runs)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("gain", [0.5, 1.7, -0.3])
def test_drifts_say_what_training_made_of_batchnorm(gain, model):
    q = calibrated(model, [])
    layer = next(one for one in q.layers if getattr(one, "batchnorm", None) is not None)
    layer.simulating = True
    own, x = Affine.of(layer), ops.convert_to_tensor(IMAGES[:8])
    trained = Affine(own.gain * gain, own.shift + 0.3)
    layer.activation, before = None, layer.activation
    plain = ops.convert_to_numpy(layer(x))
    retune(layer, trained)
    moved = ops.convert_to_numpy(layer(x))
    layer.activation = before
    expected = (plain - own.shift) * max(gain, SMALLEST_SHARE) + own.shift + 0.3
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-4)  # float32, other orders of steps
