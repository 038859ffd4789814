"""Backups of a training that survive any outage."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import keras

from kqat.core.types import PathLike
from kqat.keras_private import set_initial_epoch
from kqat_runtime.files.atomic import move_into_place
from kqat_runtime.files.drafts import draft_folder

_BACKUP = re.compile(r"after_epoch_(\d+)\.weights\.h5")


class BackupAndRestore(keras.callbacks.Callback):
    """Backs up a training after each epoch, and goes on from there when the same script runs again.

    In place of `keras.callbacks.BackupAndRestore`, which writes weights and epoch one after the other, over
    the last ones. A process that is killed then leaves a broken file, or weights of one epoch with the number
    of another. Here one file holds both, and appears in one step; whenever the process ends, the last whole
    backup is there. Weights, optimizer, ranges and the widths of a `BitSchedule` are in it.

    A resumed training repeats the epoch that was interrupted. It equals the undisturbed one where each epoch
    sees the same batches again: Keras saves no state of random numbers (shuffling, Dropout).

    Args:
        backup_dir: Folder of the backup; it is created. Use one for each training.
        delete_checkpoint: Whether the backup is deleted when the training has come to its end.
        verbose: 1 prints where a training goes on, 0 nothing.

    Raises:
        OSError: A backup cannot be written, on a full disk for example. The last one stays.
        ValueError: `backup_dir` is empty; when training begins: the weights are of another model.

    Example:
        >>> from kqat.callbacks import BackupAndRestore
        >>> backup = BackupAndRestore("backup")
    """

    def __init__(self, backup_dir: PathLike, delete_checkpoint: bool = True, verbose: int = 0):
        super().__init__()
        if not backup_dir:
            raise ValueError(f"Backups need a folder. Received: backup_dir={backup_dir!r}. Use a path.")
        self.folder = Path(os.fspath(backup_dir))
        self.delete_checkpoint = delete_checkpoint
        self.verbose = verbose

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        done = self.epochs_done
        if not done:
            return
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        self.model.load_weights(self._file(done))
        set_initial_epoch(self.model, done)
        if self.verbose:
            print(f"Goes on after epoch {done}, from {self._file(done)}.")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        save_whole(self.model, self._file(epoch + 1))
        for older in self._found():
            if older != epoch + 1:
                self._file(older).unlink()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self.delete_checkpoint:
            return
        for done in self._found():
            self._file(done).unlink()
        with contextlib.suppress(OSError):  # there are other files in it
            self.folder.rmdir()

    def _file(self, done: int) -> Path:
        return self.folder / f"after_epoch_{done}.weights.h5"

    def _found(self) -> list[int]:
        """Returns after how many epochs there are backups; for a moment there are two."""
        names = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(int(match[1]) for name in names if (match := _BACKUP.fullmatch(name)))

    @property
    def epochs_done(self) -> int:
        """After how many epochs a training goes on from here, 0 without a backup."""
        return max(self._found(), default=0)


def save_whole(model: keras.Model, target: Path) -> None:
    """Writes the weights of a model, its optimizer's too: `target` is the old file or the whole new one.

    Args:
        model: The model.
        target: Name that ends in `.weights.h5`; its folder is made where missing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with draft_folder(target.parent) as drafts:
        draft = drafts / target.name
        model.save_weights(draft)
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        move_into_place(draft, target)
