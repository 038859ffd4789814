"""The schedule must change the grid inside compiled training steps, on every backend."""

import keras
import numpy as np
import pytest

import kqat
from kqat import quantizers
from kqat.callbacks import BitSchedule
from kqat.core.errors import UnmatchedPatternError
from kqat.quantizers.find import find

RANGE = 3.0


class Levels(keras.losses.Loss):
    """Counts the distinct outputs, as a loss: only what the compiled step computes can tell."""

    def call(self, y_true, y_pred):
        ordered = keras.ops.sort(keras.ops.reshape(y_pred, (-1,)))
        steps = keras.ops.cast(ordered[1:] - ordered[:-1] > 1e-4, "float32")
        return 1.0 + keras.ops.sum(steps) + 0.0 * keras.ops.sum(y_pred)


@pytest.fixture
def x():
    """Values that reach every level of every grid over the range."""
    return np.linspace(-2 * RANGE, 2 * RANGE, 64 * 64, dtype="float32").reshape(64, 64)


def two_quantizers(bits=4):
    """Returns a model with an 8-bit quantizer at the border and a narrower one after it."""
    inputs = keras.Input((64,))
    border = quantizers.FixedRange(min=-RANGE, max=RANGE, bits=8, name="border")
    inner = quantizers.FixedRange(min=-RANGE, max=RANGE, bits=bits, name="inner")
    same = keras.layers.Dense(64, use_bias=False, kernel_initializer="identity", name="same")
    model = keras.Model(inputs, inner(same(border(inputs))))
    model.compile(keras.optimizers.SGD(0.0), Levels())
    return model, border, inner


def train(model, x, epochs, callback, **options):
    fitted = model.fit(x, x, epochs=epochs, batch_size=64, verbose=0, callbacks=[callback], **options)
    return fitted.history["loss"]


def test_bits_change_the_number_of_levels(x):
    model, border, inner = two_quantizers()
    assert train(model, x, 4, BitSchedule({0: 8, 1: 4, 3: 2})) == [256, 16, 16, 4]
    assert (border.bits, inner.bits) == (8, 2)


def test_validation_follows(x):
    model, *_ = two_quantizers()
    options = {"validation_data": (x, x), "validation_batch_size": 64}
    history = model.fit(
        x, x, epochs=2, batch_size=64, verbose=0, callbacks=[BitSchedule({0: 8, 1: 2})], **options
    )
    assert history.history["val_loss"] == [256, 4]


def test_nothing_changes_before_the_first_entry(x):
    model, *_ = two_quantizers()
    assert train(model, x, 2, BitSchedule({1: 2})) == [16, 4]


def test_a_resumed_training_takes_the_width_of_its_epoch(x):
    model, *_ = two_quantizers()
    assert train(model, x, 5, BitSchedule({0: 8, 3: 2}), initial_epoch=4) == [4]


def test_a_second_fit_acts_on_the_same_quantizers(x):
    model, _, inner = two_quantizers()
    callback = BitSchedule({0: 8, 2: 4})
    train(model, x, 1, callback)
    assert inner.bits == 8
    assert train(model, x, 3, callback, initial_epoch=2) == [16]


def test_limits_are_kept_on_request(x):
    model, _, inner = two_quantizers(bits=3)
    assert train(model, x, 3, BitSchedule({0: 8, 1: 4, 2: 2}, keep_limits=True)) == [256, 16, 8]


def test_selected_by_pattern(x):
    model, border, inner = two_quantizers()
    train(model, x, 1, BitSchedule({0: 6}, select="bord*"))
    assert (border.bits, inner.bits) == (6, 4)


def test_pattern_that_names_nothing_is_refused(x):
    with pytest.raises(UnmatchedPatternError, match=r"Received: 'inne'.*'inner'"):
        train(two_quantizers()[0], x, 1, BitSchedule({0: 6}, select=["inne"]))


def test_equal_widths_are_refused(x):
    model, *_ = two_quantizers(bits=8)
    with pytest.raises(ValueError, match=r"8 bits everywhere.*bits=4"):
        train(model, x, 1, BitSchedule({0: 8, 1: 4}))


def test_width_that_a_quantizer_cannot_have_is_refused_before_training(x):
    inputs = keras.Input((64,))
    outputs = quantizers.Sign(scaled=False, name="binary")(quantizers.MovingAverage()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"Sign at 'binary'.*8 bits. Use 1"):
        model.fit(x, x[:, :1], verbose=0, callbacks=[BitSchedule({0: 8, 1: 1})])


def test_quantized_model_keeps_its_borders():
    model = keras.Sequential([keras.Input((16,))] + [keras.layers.Dense(16, name=f"d{i}") for i in range(3)])
    q = kqat.quantize(model, bits=4)
    q.compile("sgd", "mse")
    before = {place.path: place.quantizer.bits for place in find(q)}
    assert set(before.values()) == {4, 8}
    x = np.random.default_rng(0).normal(size=(32, 16)).astype("float32")
    q.fit(x, x, verbose=0, callbacks=[BitSchedule({0: 3})])
    after = {place.path: place.quantizer.bits for place in find(q)}
    assert after == {path: 8 if bits == 8 else 3 for path, bits in before.items()}


def test_prints_changes(x, capsys):
    train(two_quantizers()[0], x, 2, BitSchedule({1: 2}, verbose=1))
    assert "Epoch 1: 2 bits." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({}, "schedule={}"),
        (4, "schedule=4"),
        ({0: 0}, "bits=0"),
        ({0: 17}, "bits=17"),
        ({-1: 4}, "epoch=-1"),
    ],
)
def test_wrong_schedules_are_refused(schedule, message):
    with pytest.raises(ValueError, match=message):
        BitSchedule(schedule)
