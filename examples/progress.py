"""One progress bar for a whole `fit`, with the latest metrics beside it."""

import keras
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar(keras.callbacks.Callback):
    """Shows training as a single bar; use it with `fit(verbose=0)`.

    Args:
        title: Text before the bar.
    """

    def __init__(self, title):
        super().__init__()
        self.title = title
        self.bar = Progress(
            TextColumn("{task.description:<22}"),
            BarColumn(),
            TextColumn("{task.completed:>3}/{task.total} epochs"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[metrics]}"),
        )

    def on_train_begin(self, logs=None):
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=self.params["epochs"], metrics="")

    def on_epoch_end(self, epoch, logs=None):
        metrics = " ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
        self.bar.update(self.task, completed=epoch + 1, metrics=metrics)

    def on_train_end(self, logs=None):
        self.bar.stop()
