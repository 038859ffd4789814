"""Weights that go back and forth are frozen where they were for most of the time."""

import keras
import numpy as np
import pytest

import kqat
from kqat.callbacks import OscillationFreezing
from tests.eager import EAGERLY


def quantized():
    """Returns a model with a weight of 3 bits in the middle, and that weight's layer."""
    inputs = keras.Input((4,))
    x = inputs
    for name in ("a", "inner", "b"):
        x = keras.layers.Dense(4, use_bias=False, name=name)(x)
    q = kqat.quantize(keras.Model(inputs, x), 3)
    return q, q.get_layer("inner")


class Moves(keras.callbacks.Callback):
    """Sets the weights after each step, in place of what training makes of them."""

    def __init__(self, variable, values):
        super().__init__()
        self.variable, self.values = variable, iter(values)

    def on_train_batch_end(self, batch, logs=None):
        _ = self.model
        self.variable.assign(next(self.values))


def fit(q, *callbacks, epochs=1, steps=8):
    q.compile(keras.optimizers.SGD(0.0), "mse", **EAGERLY)
    x = np.ones((steps, 4), "float32")
    return q.fit(x, x, batch_size=1, epochs=epochs, verbose=0, callbacks=[*callbacks], shuffle=False)


def walk(scale, step):
    """Returns levels of one weight that stays, one that wanders off, and one that goes back and forth."""
    levels = np.zeros((4, 4), "float32")
    levels[0, 0], levels[0, 1], levels[0, 2] = 1, min(step // 3, 3), step % 4 == 1
    return levels * scale


def test_what_turns_around_is_frozen_and_what_wanders_is_not():
    q, layer = quantized()
    kernel, quantizer = layer.operation.kernel, layer.weight_quantizers["kernel"]
    quantizer.set_scale(np.full(quantizer.base.shape, 0.1, "float32"))
    seen = [walk(0.1, step) for step in range(16)]
    freezing = OscillationFreezing(threshold=(0.15, 0.15), momentum=0.1)
    history = fit(q, Moves(kernel, seen), freezing, steps=16).history
    now = keras.ops.convert_to_numpy(kernel)
    assert history["frozen_weights"][0] * 16 == pytest.approx(1)
    assert now[0, 2] == 0  # at 0 for three of four steps
    np.testing.assert_allclose(now[0, :2], [0.1, 0.3], rtol=1e-6)


def test_the_count_is_its_formula():
    rng = np.random.default_rng(0)
    q, layer = quantized()
    quantizer = layer.weight_quantizers["kernel"]
    quantizer.set_scale(np.full(quantizer.base.shape, 1.0, "float32"))
    levels = rng.integers(-2, 3, (12, 4, 4)).astype("float32")
    freezing = OscillationFreezing(threshold=(1.0, 1.0), momentum=0.2)
    fit(q, Moves(layer.operation.kernel, levels), freezing, steps=12)
    frequency, last = np.zeros((4, 4)), np.zeros((4, 4))
    for before, after in zip(levels[:-1], levels[1:], strict=True):
        moved = np.sign(after - before)
        frequency = 0.2 * (moved * last < 0) + 0.8 * frequency
        last = np.where(moved == 0, last, moved)
    (watched,) = [one for one in freezing._watched if one.place.path == "inner/kernel"]
    np.testing.assert_allclose(watched.frequency, frequency, rtol=1e-6)


@pytest.mark.repeats
def test_a_later_start_a_falling_threshold_and_other_widths():
    q, layer = quantized()
    freezing = OscillationFreezing(threshold=(0.4, 0.2), start=1)
    schedule = kqat.callbacks.BitSchedule({0: 8, 2: 3})
    limits = []
    fit(q, schedule, keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: limits.append(freezing.limit)),
        freezing, epochs=3, steps=2)  # fmt: skip
    assert limits == pytest.approx([0.4, 0.3, 0.2])
    assert [one.bits for one in freezing._watched if one.place.path == "inner/kernel"] == [3]


@pytest.mark.once
@pytest.mark.parametrize("change", [{"threshold": (0, 0.1)}, {"momentum": 2}, {"start": -1}])
def test_numbers_out_of_range(change):
    with pytest.raises(ValueError, match="Received: "):
        OscillationFreezing(**change)
