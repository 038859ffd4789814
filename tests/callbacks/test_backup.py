"""A training goes on from its backup as if nothing had happened, whenever it was ended."""

import keras
import numpy as np
import pytest

import kqat
from kqat import callbacks

# Before quantization begins, its learned steps take no part: Keras notes it on PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist:UserWarning")
EPOCHS = 5


class Ended(BaseException):
    """Stands for an outage: nothing catches it."""


class EndsAtStep(keras.callbacks.Callback):
    """Ends the training after some steps."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Ended


def network():
    """Returns a compiled model of 2 bits; its weights, ranges and BatchNorm statistics all move."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(8, activation="relu", name="a")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(8, name="b")(x))
    model = kqat.quantize(keras.Model(inputs, keras.layers.Dense(2, name="c")(x)), 2, exclude=["c"])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


def train(model, *more):
    """Trains with every callback of kqat that changes what is trained."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(32, 6)).astype("float32")
    followed = [
        callbacks.BitSchedule({0: 8, 2: 4, 3: 2}),
        callbacks.QuantizationSchedule(start=1, freeze_ranges=3, freeze_batchnorm=4),
        callbacks.HyperparameterScheduler(lambda epoch: 0.01 / (1 + epoch), "learning_rate"),
    ]
    options = {"batch_size": 8, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    return model.fit(x, x[:, :2], callbacks=[*followed, *more], **options).history.get("loss", [])


@pytest.fixture(scope="module")
def undisturbed():
    """Losses and weights of a training that nothing ends."""
    model = network()
    return train(model), [keras.ops.convert_to_numpy(v) for v in model.variables]


def check(model, losses, undisturbed):
    """Demands the losses and the weights of the undisturbed training."""
    want, weights = undisturbed
    # The same steps on the same machine: only compilation anew could move a last digit.
    np.testing.assert_allclose(losses, want[-len(losses) :], rtol=1e-6)
    for got, value in zip(model.variables, weights, strict=True):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(got), value, rtol=1e-5, atol=1e-7)


def test_a_training_that_was_ended_within_an_epoch(tmp_path, undisturbed):
    with pytest.raises(Ended):
        train(network(), callbacks.BackupAndRestore(tmp_path / "backup"), EndsAtStep(14))
    model = network()
    losses = train(model, callbacks.BackupAndRestore(tmp_path / "backup"))
    assert len(losses) == EPOCHS - 3
    check(model, losses, undisturbed)
    assert not (tmp_path / "backup").exists()


@pytest.mark.once
def test_a_training_that_was_ended_while_it_wrote(tmp_path, undisturbed, monkeypatch):
    ended, write = network(), keras.Model.save_weights

    def half(self, path, **options):
        write(self, path, **options)
        if int(self.optimizer.iterations) == 12:
            with open(path, "rb+") as file:
                file.truncate(1000)
            raise Ended

    monkeypatch.setattr(keras.Model, "save_weights", half)
    with pytest.raises(Ended):
        train(ended, callbacks.BackupAndRestore(tmp_path))
    monkeypatch.undo()
    model = network()
    check(model, train(model, callbacks.BackupAndRestore(tmp_path)), undisturbed)


def test_two_backups_are_those_of_a_process_that_ended_between_them(tmp_path):
    model = network()
    train(model, callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False))
    newest = tmp_path / f"after_epoch_{EPOCHS}.weights.h5"
    newest.with_name("after_epoch_4.weights.h5").write_bytes(b"an older one")
    assert train(model, callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)) == []
    assert newest.exists()


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    train(network(), callbacks.BackupAndRestore(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        train(network(), callbacks.BackupAndRestore(tmp_path / "file"))


def test_no_folder():
    with pytest.raises(ValueError, match="Received: backup_dir=''"):
        callbacks.BackupAndRestore("")
