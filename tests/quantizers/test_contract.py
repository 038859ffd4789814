"""What every quantizer promises: bits, gradients, switches, configuration, training, saving."""

from contextlib import nullcontext

import keras
import numpy as np
import pytest
from keras import ops

from kqat import quantizers
from kqat.core.errors import NotCalibratedWarning
from tests.gradients import compiled, gradient
from tests.quantizers.cases import (
    ACTIVATIONS,
    ALL,
    WEIGHTS,
    data,
    expected,
    has_mean_scale,
    numpy,
    numpy_grid,
    trained,
)

every = pytest.mark.parametrize("make", ALL.values(), ids=ALL)
every_activation = pytest.mark.parametrize("make", ACTIVATIONS.values(), ids=ACTIVATIONS)
every_weight = pytest.mark.parametrize("make", WEIGHTS.values(), ids=WEIGHTS)


@every
def test_output_is_the_reference_and_idempotent_and_monotonic(make):
    quantizer, x = trained(make), data(9)
    y = numpy(quantizer(ops.convert_to_tensor(x)))
    np.testing.assert_array_equal(y, expected(quantizer, x))
    grid = numpy_grid(quantizer, x)
    order = np.argsort(x, axis=None)
    if grid.scale.ndim == 0:
        assert np.all(np.diff(y.ravel()[order]) >= 0)
        assert len(np.unique(y)) <= grid.levels + 1
    levels = y / grid.scale
    # The quotient of a rounded product is the level up to two roundings.
    assert np.abs(levels - np.rint(levels)).max() <= 2 * np.finfo("float32").eps * np.abs(levels).max()
    if make in ACTIVATIONS.values():
        np.testing.assert_array_equal(numpy(quantizer(ops.convert_to_tensor(y))), y)


@every
def test_compiled_output_is_the_eager_one(make):
    quantizer, x = trained(make), data(9)
    y = numpy(compiled(lambda x: quantizer(x))(ops.convert_to_tensor(x)))
    if has_mean_scale(quantizer):
        # Up to n/2 epsilons apart.
        np.testing.assert_allclose(y, expected(quantizer, x), rtol=1050 * np.finfo("float32").eps)
    else:
        np.testing.assert_array_equal(y, expected(quantizer, x))


@every
def test_training_output_equals_inference_output_once_frozen(make):
    quantizer, x = trained(make), ops.convert_to_tensor(data(9))
    quantizer.set_frozen(True)
    state = [numpy(v) for v in quantizer.variables]
    np.testing.assert_array_equal(numpy(quantizer(x * 10, training=True)), numpy(quantizer(x * 10)))
    for before, after in zip(state, quantizer.variables, strict=True):
        np.testing.assert_array_equal(numpy(after), before)


@every
def test_disabled_in_training_is_the_identity_but_inference_quantizes(make):
    quantizer, x = trained(make), data(9)
    quantizer.set_frozen(True)
    quantizer.set_enabled(False)
    np.testing.assert_array_equal(numpy(quantizer(ops.convert_to_tensor(x), training=True)), x)
    np.testing.assert_array_equal(numpy(quantizer(ops.convert_to_tensor(x))), expected(quantizer, x))
    (dx,) = gradient(lambda x: quantizer(x, training=True), x)
    np.testing.assert_array_equal(dx, np.ones_like(x))


@every_activation
def test_gradient_is_zero_outside_the_range(make):
    quantizer = trained(make)
    x = np.array([-1e4, 1e4], "float32")
    np.testing.assert_array_equal(gradient(quantizer, x)[0], [0, 0])


@every
def test_gradient_reaches_the_inside(make):
    quantizer = trained(make)
    x = np.full((2, 7, 6), 0.4, "float32") * np.array([1, 0.5], "float32").reshape(2, 1, 1)
    # Equal gradients of all weights would be one of their mean, which standardized weights do not have.
    assert np.all(gradient(quantizer, x, upstream=data(8, x.shape))[0] != 0)


@every_activation
def test_uncalibrated_inference_gives_finite_values(make):
    quantizer = make()
    warns = pytest.warns(NotCalibratedWarning) if quantizer.needs_calibration else nullcontext()
    with warns:
        y = quantizer(ops.convert_to_tensor(data()))
    assert np.all(np.isfinite(numpy(y)))


@every
def test_is_calibrated_after_training(make):
    quantizer = make()
    assert quantizer.is_calibrated is not quantizer.needs_calibration
    quantizer(ops.convert_to_tensor(data()), training=True)
    assert quantizer.is_calibrated is True


@pytest.mark.parametrize("name", ["ema", "lsq 4", "pact 4"])
def test_frozen_from_the_start_stays_uncalibrated(name):
    quantizer = ALL[name]()
    quantizer.set_frozen(True)
    quantizer(ops.convert_to_tensor(data()), training=True)
    assert not quantizer.is_calibrated


@every
def test_config_round_trip(make):
    quantizer = make()
    copy = quantizers.deserialize(quantizers.serialize(quantizer))
    assert type(copy) is type(quantizer)
    assert copy.get_config() == quantizer.get_config()
    assert copy is not quantizer


@every
def test_dtype_of_the_input_is_kept_and_the_grid_stays_float32(make):
    dtype = "bfloat16"
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        quantizer = trained(make)
    finally:
        keras.config.set_dtype_policy(policy)
    x = ops.cast(ops.convert_to_tensor(data()), dtype)
    y = quantizer(x)
    assert ops.dtype(y) == dtype
    assert {ops.dtype(v) for v in quantizer.variables} == {"float32"}
    exact = expected(quantizer, numpy(ops.cast(x, "float32")))
    np.testing.assert_array_equal(
        numpy(ops.cast(y, "float32")), numpy(ops.cast(ops.cast(exact, dtype), "float32"))
    )


ONE_WIDTH = ("sign", "ste_heaviside", "ste_tern")


def saved_and_loaded(quantizer, shape):
    """The configuration says what was planned, the variables what a schedule has made of it."""
    variables = {}
    quantizer.save_own_variables(variables)
    copy = quantizers.deserialize(quantizers.serialize(quantizer))
    if not copy.built:
        copy.build(shape)
    assert copy.bits == quantizer.planned_bits
    copy.load_own_variables({key: numpy(value) for key, value in variables.items()})
    return copy


@pytest.mark.parametrize(
    "name", [name for name in ALL if not any(part in name.replace("signed", "") for part in ONE_WIDTH)]
)
def test_set_bits_keeps_the_range_and_the_saved_form_knows(name):
    quantizer = trained(ALL[name])
    x = data(9)
    before = numpy_grid(quantizer, x)
    quantizer.set_bits(6)
    after = numpy_grid(quantizer, x)
    assert saved_and_loaded(quantizer, x.shape).bits == 6
    every_second = isinstance(quantizer, quantizers.DoReFa) and quantizer.mode == "weights"
    assert after.levels in ((126,) if every_second else (62, 63))
    # The zero point and the missing level of a signed grid move an end by up to one step of the coarser.
    step = np.maximum(before.scale, after.scale)
    assert np.all(np.abs(before.qmax * before.scale - after.qmax * after.scale) <= step)
    np.testing.assert_array_equal(numpy(quantizer(ops.convert_to_tensor(x))), expected(quantizer, x))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["fixed", "ema", "lsq 4", "lsq unsigned 2", "pact 4", "sign", "rsign", "ir_sign"]
)
def test_trains_in_a_model_and_saves_bit_equal(name, tmp_path):
    _check_training(ALL[name](), tmp_path, jit_compile="auto")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ema unsigned 4", "lsq 4", "pact signed 3"])
def test_trains_through_the_compiler(name, tmp_path):
    # On PyTorch the compiler is not part of the promise: its tracing takes minutes and gains nothing here.
    _check_training(ALL[name](), tmp_path, jit_compile=keras.backend.backend() != "torch")


def _check_training(quantizer, tmp_path, jit_compile):
    x, y = data(1, (96, 12)), data(2, (96, 3))
    layers = [keras.layers.Dense(8), quantizer, keras.layers.Dense(3)]
    model = keras.Sequential([keras.Input((12,)), *layers])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=jit_compile)
    before = [numpy(v) for v in model.trainable_variables]
    losses = model.fit(x, y, epochs=4, batch_size=32, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for old, new in zip(before, model.trainable_variables, strict=True):
        assert np.any(numpy(new) != old), new.path
    assert quantizer.is_calibrated
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    for old, new in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(numpy(new), numpy(old))


class _Switch(keras.callbacks.Callback):
    """Changes a quantizer between the epochs of a compiled training."""

    def __init__(self, quantizer, action):
        super().__init__()
        self.quantizer, self.action = quantizer, action

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            self.action(self.quantizer)


def test_switches_act_inside_a_compiled_training():
    quantizer = quantizers.FixedRange(-0.001, 0.001, bits=2)  # so narrow that it cuts off all signal
    model = keras.Sequential(
        [keras.Input((6,)), quantizer, keras.layers.Dense(6, kernel_initializer="identity")]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=keras.backend.backend() != "torch")
    x = data(0, (32, 6))
    switch = _Switch(quantizer, lambda q: q.set_enabled(False))
    losses = model.fit(x, x, epochs=2, batch_size=32, verbose=0, callbacks=[switch]).history["loss"]
    assert losses[0] > 1
    assert losses[1] == 0
    assert np.abs(model.predict(x, verbose=0)).max() < 0.01


@pytest.mark.slow
def test_freezing_acts_inside_a_compiled_training():
    quantizer = quantizers.MovingAverage(8)
    model = keras.Sequential(
        [keras.Input((6,)), quantizer, keras.layers.Dense(6, kernel_initializer="identity")]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=keras.backend.backend() != "torch")
    x = data(0, (64, 6))
    switch = _Switch(quantizer, lambda q: q.set_frozen(True))
    model.fit(x, x, epochs=3, batch_size=32, verbose=0, callbacks=[switch])
    assert numpy(quantizer.count) == 2


@every_weight
def test_weight_quantizers_start_from_the_weights(make):
    quantizer, w = make(), data(4)
    quantizer.initialize(w)
    assert quantizer.is_calibrated
    np.testing.assert_array_equal(numpy(quantizer(ops.convert_to_tensor(w))), expected(quantizer, w))


def test_symbolic_call_changes_nothing():
    quantizer = quantizers.MovingAverage(8)
    y = quantizer(keras.KerasTensor((None, 5), dtype="float16"), training=True)
    assert (y.shape, y.dtype) == ((None, 5), "float16")
    assert not quantizer.is_calibrated


def test_integer_input_becomes_float32():
    quantizer = quantizers.FixedRange(-6, 6)
    y = quantizer(ops.convert_to_tensor(np.arange(5, dtype="int32")))
    np.testing.assert_array_equal(numpy(y), expected(quantizer, np.arange(5, dtype="float32")))
    assert quantizer(keras.KerasTensor((5,), dtype="int32")).dtype == ops.dtype(y) == "float32"


@pytest.mark.parametrize("bits", [0, 17, 1.5])
@pytest.mark.parametrize("cls", [quantizers.FixedRange, quantizers.LSQ, quantizers.MinMax, quantizers.PACT])
def test_bits_are_checked(cls, bits):
    with pytest.raises((TypeError, ValueError), match=f"Received: bits={bits}"):
        cls(bits=bits)
