"""Parity: standalone BatchNormalization and fixed scalings against the runtime, level for level."""

import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat.errors import UnsupportedError
from kqat.lowering.affine import Affine
from kqat.lowering.base import Step, Weights
from kqat.lowering.channelwise import affine_form
from tests.lowering import harness

LOWERING = Affine()
CHANNELS = 5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def step_of(rng, shape, bits=8, signed=True, activation="linear"):
    layer = harness.built(keras.layers.BatchNormalization(), (None, *shape[1:]))
    factor = rng.normal(0, 1, CHANNELS).astype(np.float32)
    source = harness.grid(bits, 0.05, signed)
    scale = np.abs(factor) / np.float32(127)
    bias = np.rint(rng.normal(0, 0.5, CHANNELS) / (source.scale * scale)).astype(np.float32)
    weights = Weights(np.sign(factor) * np.float32(127), scale, bias)
    target = harness.grid(bits, 0.05 * rng.uniform(0.5, 2), signed)
    return Step(layer, (source,), target, activation, weights)


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_grids(rng, bits):
    for signed in (True, False):
        for activation in ("linear", "relu"):
            shape = (4, 6, 6, CHANNELS)
            step = step_of(rng, shape, bits, signed, activation)
            harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], shape))


@pytest.mark.parametrize("shape", [(50, CHANNELS), (4, 9, CHANNELS), (3, 2, 3, 4, CHANNELS)])
def test_other_ranks(rng, shape):
    step = step_of(rng, shape)
    harness.assert_same(LOWERING, step, harness.samples(rng, step.inputs[0], shape))
    content, _, _ = harness.write(LOWERING, step, (None, *shape[1:]))
    assert harness.fully_delegated(content)


@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}], ids=str)
def test_float_form(rng, arguments):
    layer = keras.layers.BatchNormalization(
        beta_initializer="normal",
        gamma_initializer="normal",
        moving_mean_initializer="normal",
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2),
        **arguments,
    )
    layer = harness.built(layer, (None, 3, CHANNELS))
    harness.assert_float_close(LOWERING, layer, rng.normal(size=(4, 3, CHANNELS)).astype(np.float32))


SCALINGS = {
    "numbers": lambda: keras.layers.Rescaling(0.6, offset=-1.0),
    "lists": lambda: keras.layers.Rescaling([0.5, -2.0, 1.0, 0.0, 3.0], offset=[0.1, 0.2, -1.0, 0.5, 0.0]),
    "normalization": lambda: keras.layers.Normalization(
        mean=[0.4, 0.5, 0.6, 0.0, -1.0], variance=[0.05, 0.1, 2.0, 1.0, 0.0]
    ),
    "one normalization": lambda: keras.layers.Normalization(axis=None, mean=0.4, variance=0.05),
    "inverse": lambda: keras.layers.Normalization(
        mean=[0.4, 0.5, 0.6, 0.0, -1.0], variance=[0.05, 0.1, 2.0, 1.0, 3.0], invert=True
    ),
}


@pytest.mark.parametrize("case", SCALINGS)
def test_the_form_of_a_fixed_scaling(rng, case):
    x = rng.normal(size=(4, 3, 2, CHANNELS)).astype(np.float32)
    layer = harness.built(SCALINGS[case](), (None, *x.shape[1:]))
    form = affine_form(layer)
    ours = (x - ops.convert_to_numpy(form.mean)) * ops.convert_to_numpy(form.gain)
    # Up to three roundings; the largest factor, of the variance 0, is 1e7.
    np.testing.assert_allclose(
        ours + ops.convert_to_numpy(form.beta), ops.convert_to_numpy(layer(x)), rtol=5e-7, atol=5e-7
    )


@pytest.mark.parametrize("case", SCALINGS)
@pytest.mark.parametrize("bits", [8, 16])
def test_fixed_scalings_in_a_model(rng, case, bits):
    x = rng.uniform(-2, 2, size=(64, 6, 5, CHANNELS)).astype(np.float32)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, SCALINGS[case]()(inputs))
    assert not kqat.plan(model, bits=(8, bits)).float_layers
    q = kqat.quantize(model, bits=(8, bits))
    kqat.calibrate(q, x, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), np.concatenate([x, 3 * x]))
    assert [output.unequal for output in report.outputs] == [0]
    assert len(np.unique(q.predict(x, verbose=0))) > 100


@pytest.mark.parametrize("case", SCALINGS)
def test_float_form_of_a_fixed_scaling(rng, case):
    layer = harness.built(SCALINGS[case](), (None, 3, CHANNELS))
    x = rng.normal(size=(4, 3, CHANNELS)).astype(np.float32)
    content, _, _ = harness.write(LOWERING, harness.float_step(layer), (None, *x.shape[1:]))
    # As above; the offset of a normalization is rounded in units of mean * gain.
    np.testing.assert_allclose(harness.run(content, x), ops.convert_to_numpy(layer(x)), rtol=5e-7, atol=2e-6)


@pytest.mark.repeats
def test_an_adapted_normalization_keeps_its_numbers(rng, tmp_path):
    x = rng.normal(3, 5, size=(64, 6, CHANNELS)).astype(np.float32)
    layer = keras.layers.Normalization()
    layer.adapt(x)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, keras.layers.Dense(4)(layer(inputs)))
    q = kqat.quantize(model)
    kqat.calibrate(q, x, verbose=0)
    y = q.predict(x, verbose=0)
    # Half a step of the output grid and what the rounded inputs, of range 7, and weights add.
    np.testing.assert_allclose(y, model.predict(x, verbose=0), atol=0.2)
    q.save(tmp_path / "q.keras")
    np.testing.assert_array_equal(kqat.load_model(tmp_path / "q.keras").predict(x, verbose=0), y)
    np.testing.assert_array_equal(kqat.strip_fake_quant(q).predict(x, verbose=0), model.predict(x, verbose=0))
    assert kqat.verify(q, kqat.export_tflite(q, fallback="error"), x).outputs[0].unequal == 0


def test_numbers_along_other_axes_stay_float(rng):
    inputs = keras.Input((3, CHANNELS))
    layer = keras.layers.Normalization(axis=1, mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    model = keras.Model(inputs, layer(inputs))
    assert layer.name in [line.path for line in kqat.plan(model).float_layers]
    with pytest.raises(UnsupportedError, match="one number for each channel"):
        harness.write(LOWERING, harness.float_step(layer), (None, 3, CHANNELS))


def test_other_axes_are_refused(rng):
    layer = harness.built(keras.layers.BatchNormalization(axis=1), (None, 3, CHANNELS))
    with pytest.raises(UnsupportedError, match="Received: axis=1"):
        harness.write(LOWERING, harness.float_step(layer), (None, 3, CHANNELS))
