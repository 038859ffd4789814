"""What labels ask of a model: the loss, the metric, and what a teacher is compared by."""

from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

SUM_ERROR = 1e-3  # by which probabilities in float32 may miss a sum of 1


@dataclass(frozen=True)
class Task:
    """What a model is trained for.

    Args:
        loss: Keras loss between labels and outputs; `None` where there are no labels.
        metrics: Keras metrics.
        outputs: `"logits"` and `"probabilities"` of classes, or `"values"`.
    """

    loss: Any
    metrics: list
    outputs: str

    @classmethod
    def of(cls, labels: Any, outputs: Any, loss: Any = None, metrics: Any = None) -> "Task":
        """Returns what a batch of labels and of outputs looks like.

        Args:
            labels: Those of one batch, `None` without.
            outputs: What the float or quantized model makes of the batch.
            loss: The user's own, in place of the one that is found.
            metrics: The user's own.

        Raises:
            ValueError: Labels and outputs do not go together, or the model has several outputs and no loss.
        """
        leaves = keras.tree.flatten(outputs)
        if len(leaves) > 1:
            return _of_several(labels, loss, metrics)
        y = None if labels is None else np.asarray(keras.tree.flatten(labels)[0])
        found = _found(y, np.asarray(leaves[0]))
        if labels is not None and loss is not None:
            found = replace(found, loss=loss)
        return found if metrics is None else replace(found, metrics=list(metrics))


def _of_several(labels, loss, metrics) -> Task:
    if loss is None and labels is not None:
        raise ValueError(
            "Which loss each of several outputs has cannot be told from the data. Received: loss=None. "
            "Use loss=[...] or a dict, as for compile()."
        )
    return Task(loss, [] if metrics is None else metrics, "values")


def _found(y, outputs) -> Task:
    losses, kind = keras.losses, _kind(outputs)
    if y is None:
        return Task(None, [], kind)
    logits = kind != "probabilities"
    if outputs.ndim > 1 and outputs.shape[-1] > 1 and _are_classes(y, outputs):
        loss = losses.SparseCategoricalCrossentropy(from_logits=logits)
        return Task(loss, ["accuracy"], "logits" if logits else kind)
    if y.shape != outputs.shape and y.size != outputs.size:
        raise ValueError(
            f"The labels are not those of the outputs. Received: labels {y.shape} of {y.dtype} for outputs "
            f"{outputs.shape}. Use class numbers or values of the outputs' shape, or loss=."
        )
    if _sum_to_one(y):
        loss = losses.CategoricalCrossentropy(from_logits=logits)
        return Task(loss, ["accuracy"], "logits" if logits else kind)
    if np.all((y == 0) | (y == 1)) and np.all((outputs >= 0) & (outputs <= 1)):
        return Task(losses.BinaryCrossentropy(), ["accuracy"], "values")
    return Task(losses.MeanSquaredError(), [], "values")


def _kind(outputs) -> str:
    return "probabilities" if _sum_to_one(outputs) else "values"


def _are_classes(y, outputs) -> bool:
    shapes = (outputs.shape[:-1], (*outputs.shape[:-1], 1))
    whole = np.issubdtype(y.dtype, np.integer) or bool(np.all(y == np.rint(y)))
    return y.shape in shapes and whole


def _sum_to_one(x) -> bool:
    if x.ndim < 2 or x.shape[-1] < 2 or np.any(x < 0):
        return False
    return bool(np.all(np.abs(np.sum(x, -1, dtype=np.float64) - 1) < SUM_ERROR))
