"""The schedule must change what compiled training steps compute, on every backend."""

import keras
import numpy as np
import pytest

import kqat
from kqat import quantizers
from kqat.callbacks import QuantizationSchedule
from kqat.quantizers.find import find


def line(quantizer, **options):
    """Returns a compiled model `y = quantizer(x)` whose weights stay put."""
    inputs = keras.Input((8,))
    same = keras.layers.Dense(8, use_bias=False, kernel_initializer="identity", name="same")
    model = keras.Model(inputs, same(quantizer(inputs)))
    model.compile(**{"optimizer": keras.optimizers.SGD(0.0), "loss": "mse", **options})
    return model


class Record(keras.callbacks.Callback):
    """Notes values of variables after every batch or every epoch."""

    def __init__(self, *variables, every="epoch"):
        super().__init__()
        self.variables, self.every, self.values = variables, every, []

    def _note(self):
        assert self.model is not None  # with JAX, reading it brings the state into the variables
        self.values.append([np.array(keras.ops.convert_to_numpy(v)) for v in self.variables])

    def on_train_batch_end(self, batch, logs=None):
        if self.every == "batch":
            self._note()

    def on_epoch_end(self, epoch, logs=None):
        if self.every == "epoch":
            self._note()


def train(model, x, epochs, *callbacks, **options):
    """Trains towards the input itself, so that the loss is the squared quantization error."""
    options = {"batch_size": 8, "verbose": 0, "shuffle": False, **options}
    return model.fit(x, x, epochs=epochs, callbacks=list(callbacks), **options).history["loss"]


@pytest.fixture
def x():
    return np.random.default_rng(0).uniform(-3, 3, (32, 8)).astype("float32")


@pytest.fixture
def coarse():
    """A 2-bit grid, whose error on `x` nobody can overlook."""
    return quantizers.FixedRange(min=-3.0, max=3.0, bits=2)


def test_start_counts_epochs(x, coarse):
    losses = train(line(coarse), x, 4, QuantizationSchedule(start=2))
    assert losses[:2] == [0.0, 0.0]
    assert min(losses[2:]) > 0.1


def test_start_counts_steps(x, coarse):
    # 4 batches an epoch: the third step is inside the first epoch, after the step has been compiled.
    losses = train(line(coarse), x, 2, QuantizationSchedule(start=2, unit="step"))
    whole = train(line(coarse), x, 1)[0]
    assert 0.1 < losses[0] < 0.8 * whole
    assert losses[1] == pytest.approx(whole, rel=1e-6)


def test_steps_go_on_counting_in_a_second_fit(x, coarse):
    model = line(coarse)
    with pytest.warns(UserWarning, match="before quantization began"):
        assert train(model, x, 1, QuantizationSchedule(start=4, unit="step")) == [0.0]
    assert train(model, x, 1, QuantizationSchedule(start=4, unit="step"))[0] > 0.1


def test_epochs_follow_initial_epoch(x, coarse):
    losses = train(line(coarse), x, 3, QuantizationSchedule(start=2), initial_epoch=2)
    assert losses[0] > 0.1


def test_compiled_once_for_all_phases(x, coarse):
    """The switch must not depend on a new trace."""
    model = line(coarse)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.train_function)

    losses = train(model, x, 3, QuantizationSchedule(start=1), Watch())
    assert losses[0] == 0.0 < losses[1]
    assert len({id(function) for function in seen}) == 1


def test_ranges_stand_still_once_frozen(x):
    quantizer = quantizers.MovingAverage()
    model = line(quantizer)
    record = Record(quantizer.low, quantizer.high, quantizer.count, every="batch")
    train(model, x, 3, QuantizationSchedule(freeze_ranges=1), record)
    values = np.array(record.values)
    assert np.all(values[1:4, 2] == values[:3, 2] + 1)
    np.testing.assert_array_equal(values[4:], np.broadcast_to(values[3], (8, 3)))


def test_ranges_freeze_at_a_step(x):
    quantizer = quantizers.MovingAverage()
    record = Record(quantizer.count, every="batch")
    train(line(quantizer), x, 2, QuantizationSchedule(freeze_ranges=3, unit="step"), record)
    assert [float(count[0]) for count in record.values] == [1, 2, 3, 3, 3, 3, 3, 3]


def test_a_step_schedule_loses_no_training(x):
    """With JAX, acting between batches must carry the trained state along."""
    quantizer = quantizers.FixedRange(bits=8)
    plain = line(quantizer, optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    scheduled = line(quantizers.FixedRange(bits=8), optimizer=keras.optimizers.SGD(0.1, momentum=0.9))
    train(plain, x, 2)
    train(scheduled, x, 2, QuantizationSchedule(freeze_ranges=3, unit="step"))
    for one, other in zip(plain.get_weights(), scheduled.get_weights(), strict=True):
        if one.shape:  # the scalar state includes the `frozen` that differs
            np.testing.assert_array_equal(one, other)


@pytest.fixture
def classifier():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, name="head"),
        ]
    )
    return model


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return rng.normal(1.0, 2.0, (32, 6, 6, 1)).astype("float32"), rng.integers(0, 3, 32)


@pytest.mark.repeats
def test_batchnorm_statistics_stand_still_once_frozen(classifier, images):
    q = kqat.quantize(classifier, bits=8)
    q.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    record = Record(*(v for v in q.variables if "moving_" in v.path and "variance" in v.path))
    assert record.variables
    schedule = QuantizationSchedule(freeze_batchnorm=2)
    q.fit(*images, epochs=4, batch_size=8, verbose=0, callbacks=[schedule, record])
    values = np.array(record.values)
    assert not np.array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[2], values[1])
    np.testing.assert_array_equal(values[3], values[1])


# Before quantization begins PyTorch's learned steps take no part in the loss.
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_before_start_a_quantized_model_trains_like_the_float_one(classifier, images):
    q = kqat.quantize(classifier, bits=2, boundary_bits=2)
    histories = []
    for model, callbacks in ((classifier, []), (q, [QuantizationSchedule(start=2)])):
        model.compile(
            keras.optimizers.SGD(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        keras.utils.set_random_seed(1)
        history = model.fit(*images, epochs=3, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)
        histories.append(history.history["loss"])
    # The wrapper's BatchNorm sums in another order than Keras's own: some float32 rounding.
    np.testing.assert_allclose(histories[0][:2], histories[1][:2], rtol=1e-4)
    assert abs(histories[0][2] - histories[1][2]) > 1e-3


def test_float_batchnorm_is_named_in_a_warning(images):
    inputs = keras.Input((6, 6, 1))
    x = quantizers.MovingAverage()(inputs)
    x = keras.layers.BatchNormalization(name="plain")(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match="not quantized: plain"):
        model.fit(*images, verbose=0, callbacks=[QuantizationSchedule(freeze_batchnorm=0)])


def test_model_without_quantizers_is_refused(classifier, images):
    classifier.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"QuantizationSchedule acts on quantizers.*kqat.quantize"):
        classifier.fit(*images, verbose=0, callbacks=[QuantizationSchedule()])


def test_prints_what_it_switches(x, coarse, capsys):
    train(line(coarse), x, 2, QuantizationSchedule(freeze_ranges=1, verbose=1))
    assert "Epoch 1: ranges frozen." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": -1}, "start=-1"),
        ({"start": None}, "start=None"),
        ({"start": 1.5}, "start=1.5"),
        ({"freeze_ranges": True}, "freeze_ranges=True"),
        ({"freeze_batchnorm": "2"}, "freeze_batchnorm='2'"),
        ({"unit": "epochs"}, "Received: unit='epochs'. Use 'epoch'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuantizationSchedule(**arguments)


def test_switches_reach_every_quantizer(classifier, images):
    q = kqat.quantize(classifier, bits=4)
    q.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.warns(UserWarning, match="before quantization began"):
        q.fit(*images, verbose=0, callbacks=[QuantizationSchedule(start=5, freeze_ranges=0)])
    places = find(q)
    assert len(places) >= 5
    assert all(float(p.quantizer.enabled) == 0 and float(p.quantizer.frozen) == 1 for p in places)
