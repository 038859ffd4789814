"""The best epoch as a verified file."""

import difflib
import os
import re
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import keras

from kqat.core.checks import nearest
from kqat.core.errors import ExportError
from kqat.core.types import PathLike
from kqat_runtime.files.atomic import final_target, move_into_place
from kqat_runtime.files.drafts import draft_folder

MODES = ("auto", "min", "max")
_FIELD = re.compile(r"(\{{1,2})(\w+)((?:![rsa])?(?::[^{}]*)?)(\}{1,2})")
_HIGHER = ("acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "io_u", "top_k", "r2", "similarity")
_LOWER = ("loss", "error", "mae", "mse", "divergence", "crossentropy", "hinge", "poisson", "cosh")


class TFLiteCheckpoint(keras.callbacks.Callback):
    """Exports the model to `.tflite` at the end of the best epoch so far, and verifies the file.

    The file is written in a folder next to its place, verified there, and moved into place in one step: at
    any time `path` holds the last good export, or nothing. Training goes on where a file cannot be written
    (the disk is full, the model has a layer that cannot be exported): a warning says so, and an older file
    stays.

    Args:
        path: Where to write; may contain `{epoch}` (from 1) and metrics, as in
            `"net_{epoch:02d}_{val_accuracy:.3f}.tflite"`. Braces around anything else stay as they are, and
            so do two of them: `{{epoch}}` stands for the text `{epoch}`.
        monitor: Metric of the logs that decides what is best.
        mode: `"max"` or `"min"` say which values are better; `"auto"` goes by the name.
        verify_data: Data for `kqat.verify`; without it nothing is verified.
        save_best_only: `False` exports every epoch.
        min_agreement: Share of equal predictions, 0 to 1, below which a file is discarded with a
            warning. Needs `verify_data`.
        verbose: 1 prints what was written, 0 nothing.
        initial_value_threshold: Value that the first file has to surpass: in a resumed training, the best one
            before it.
        export: Function of `(model, path)` that writes; `kqat.export_tflite` by default.
        verify: Function of `(model, exported, data)`; `kqat.verify` by default.

    The report of the last verification is `verification`, and its agreement of predictions goes into the
    logs as `"tflite_agreement"`.

    Threads: an object belongs to one training; several may write the same path at the same time.

    Raises:
        ValueError: Unknown mode, a metric whose better direction cannot be told from its name, or
            `min_agreement` without data.

    Example:
        >>> from kqat.callbacks import TFLiteCheckpoint
        >>> checkpoint = TFLiteCheckpoint("best.tflite", monitor="val_accuracy")
    """

    def __init__(
        self,
        path: PathLike,
        monitor: str = "val_accuracy",
        mode: str = "auto",
        verify_data: Any = None,
        save_best_only: bool = True,
        min_agreement: float | None = None,
        verbose: int = 0,
        initial_value_threshold: float | None = None,
        export: Callable | None = None,
        verify: Callable | None = None,
    ):
        super().__init__()
        self.path = os.fspath(path)
        self.monitor = monitor
        self.mode = _resolved(mode, monitor) if save_best_only else mode
        self.verify_data = verify_data
        self.save_best_only = save_best_only
        self.min_agreement = _checked_agreement(min_agreement, verify_data)
        self.verbose = verbose
        self.best = initial_value_threshold
        self.verification = None
        self._export = export
        self._verify = verify

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        value = logs.get(self.monitor)
        if self.save_best_only and not self._is_better(value, logs):
            return
        target = Path(filled(self.path, {**logs, "epoch": epoch + 1}))
        if self._published(target, logs):
            self.best = value
            self._say(f"Epoch {epoch + 1}: wrote {target}{self._agreement_text()}.")

    def _is_better(self, value, logs) -> bool:
        if value is None:
            warnings.warn(
                f"TFLiteCheckpoint cannot tell which epoch is best. Received: monitor={self.monitor!r}. "
                f"Use one of {nearest(self.monitor, logs)}, or pass validation_data to fit().",
                stacklevel=3,
            )
            return False
        if self.best is None:
            return value == value  # not NaN
        return value > self.best if self.mode == "max" else value < self.best

    def _published(self, target: Path, logs) -> bool:
        """Publishes, or warns that the file cannot be written; tells whether `target` is new."""
        try:
            return self._publish(target, logs)
        except (OSError, ExportError) as error:
            warnings.warn(
                f"TFLiteCheckpoint could not write the file, and training goes on. Received: {target}: "
                f"{type(error).__name__}: {error}",
                stacklevel=4,
            )
            return False

    def _publish(self, target: Path, logs) -> bool:
        """Exports beside `target`, verifies, and moves; tells whether the file was good."""
        final = final_target(target)
        with draft_folder(final.parent) as folder:
            draft = folder / final.name
            exported = (self._export or _public("export_tflite"))(self.model, draft)
            if not self._verified(draft if exported is None else exported, logs):
                return False
            move_into_place(draft, target)
        return True

    def _verified(self, exported, logs) -> bool:
        if self.verify_data is None:
            return True
        self.verification = (self._verify or _public("verify"))(self.model, exported, self.verify_data)
        agreement = self._agreement
        if agreement is not None:
            logs["tflite_agreement"] = agreement
        if self.min_agreement is None or (agreement is not None and agreement >= self.min_agreement):
            return True
        warnings.warn(
            f"The file does not predict what the model predicts, and was discarded. Received: agreement "
            f"{agreement}. Use min_agreement={self.min_agreement} or less only if that is expected; "
            "kqat.verify(..., layers=True) names the first layer that differs.",
            stacklevel=5,
        )
        return False

    @property
    def _agreement(self) -> float | None:
        return getattr(self.verification, "top1_agreement", None)

    def _agreement_text(self) -> str:
        return "" if self._agreement is None else f", {100 * self._agreement:.2f} % equal predictions"

    def _say(self, text):
        if self.verbose:
            print(f"\n{text}")


def filled(path: str, values: dict) -> str:
    """Returns a path with the fields that have a value filled in, and all other braces as they are.

    Args:
        path: Text with fields as in `str.format`.
        values: Value of each field.
    """

    def replacement(match: re.Match) -> str:
        opened, name, rest, closed = match.groups()
        if name not in values:
            _warn_of_slip(name, values)
            return match.group()
        if len(opened) == 2 == len(closed):
            return match.group()[1:-1]
        return opened[1:] + f"{{0{rest}}}".format(values[name]) + closed[1:]

    return _FIELD.sub(replacement, path)


def _warn_of_slip(name: str, values) -> None:
    meant = difflib.get_close_matches(name, values, n=1, cutoff=0.8)
    if meant:
        warnings.warn(
            f"TFLiteCheckpoint knows no such metric, and takes the field for text. Received: {{{name}}}. "
            f"Use {{{meant[0]}}}, or two braces for text.",
            stacklevel=6,
        )


def _public(name):
    """Returns a verb of kqat; looked up when used, because exporting lies above callbacks."""
    return getattr(import_module("kqat"), name)


def _resolved(mode, monitor) -> str:
    if mode not in MODES:
        raise ValueError(f"Unknown mode. Received: mode={mode!r}. Use one of {nearest(mode, MODES)}.")
    if mode != "auto":
        return mode
    # The metric comes last in a name, after that of the output: "f1_head_loss" is a loss.
    last = {name: monitor.lower().rfind(name) for name in _HIGHER + _LOWER}
    name = max(last, key=lambda name: last[name])
    if last[name] >= 0:
        return "max" if name in _HIGHER else "min"
    raise ValueError(
        f"Whether more is better cannot be told from the name. Received: monitor={monitor!r}, mode='auto'. "
        "Use mode='max' or mode='min'."
    )


def _checked_agreement(value, data):
    if value is None:
        return None
    if not 0 <= value <= 1:
        raise ValueError(f"`min_agreement` is a share. Received: min_agreement={value!r}. Use 0 to 1.")
    if data is None:
        raise ValueError(
            f"An agreement is measured on data. Received: min_agreement={value!r}, verify_data=None. "
            "Use verify_data=x_val, for example."
        )
    return value
