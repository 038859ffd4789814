"""A hyperparameter that changes in the course of a training."""

import inspect
from collections.abc import Callable
from typing import Any

import keras

from kqat.keras_private import sync_state
from kqat.ops.arrays import as_numpy

FREQUENCIES = ("epoch", "step")


class HyperparameterScheduler(keras.callbacks.Callback):
    """Sets a hyperparameter of an optimizer at each epoch or step, for example `gamma` of `Bop`.

    Args:
        schedule: Function from the epoch, or the step, counted from 0, to the value; of two arguments if it
            wants the present value too.
        hyperparameter: Attribute of the optimizer.
        optimizer: The optimizer; by default that of the model. Name one that is inside of a `CaseOptimizer`.
        update_freq: `"epoch"` or `"step"`.
        verbose: 1 prints a line at each change, 0 nothing.
        log_name: Name in the logs; by default that of the hyperparameter.

    Raises:
        ValueError: `update_freq` is neither; when training begins: the optimizer has no such hyperparameter,
            or one that is a constant of the compiled step.

    Example:
        >>> from kqat.callbacks import HyperparameterScheduler
        >>> decay = HyperparameterScheduler(lambda epoch: 0.001 * 0.1 ** (epoch // 30), "gamma")
    """

    def __init__(
        self,
        schedule: Callable,
        hyperparameter: str,
        optimizer: keras.optimizers.Optimizer | None = None,
        update_freq: str = "epoch",
        verbose: int = 0,
        log_name: str | None = None,
    ):
        super().__init__()
        if update_freq not in FREQUENCIES:
            raise ValueError(
                f"Unknown frequency. Received: update_freq={update_freq!r}. Use one of {FREQUENCIES}."
            )
        self.schedule, self.hyperparameter = schedule, hyperparameter
        self.optimizer = optimizer
        self.update_freq, self.verbose = update_freq, verbose
        self.log_name = log_name or hyperparameter

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._variable()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.update_freq == "epoch":
            self._set("Epoch", epoch)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self.update_freq == "step":
            sync_state(self.model)
            self._set("Step", int(as_numpy(self._chosen.iterations)))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs[self.log_name] = float(as_numpy(self._variable()))

    @property
    def _chosen(self):
        return self.model.optimizer if self.optimizer is None else self.optimizer

    def _variable(self):
        value = getattr(self._chosen, self.hyperparameter, None)
        if isinstance(value, keras.Variable):
            return value
        raise ValueError(
            "Only a variable can change within a compiled training. Received: "
            f"{type(self._chosen).__name__}.{self.hyperparameter}={value!r}. Use a hyperparameter that the "
            "optimizer keeps as one: learning_rate, or gamma and threshold of Bop."
        )

    def _set(self, unit: str, number: int) -> None:
        variable = self._variable()
        given = [number, float(as_numpy(variable))]
        variable.assign(self.schedule(*given[: _arguments(self.schedule)]))
        if self.verbose:
            value = float(as_numpy(variable))
            print(f"{unit} {number}: {self.log_name} is now {value}.")


def _arguments(schedule: Callable) -> int:
    """Returns how many of the two arguments a schedule takes."""
    parameters = inspect.signature(schedule).parameters.values()
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return 2 if len([p for p in needed if p.default is p.empty]) > 1 else 1
