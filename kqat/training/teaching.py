"""A loss that compares with another model's outputs, while the model that is trained stays what it is."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from kqat.core.types import Tensor
from kqat.keras_private import forget_compiled_steps


@dataclass(frozen=True)
class Lesson:
    """What a teacher adds to the loss.

    Forward: `label_weight * labels + (1 - label_weight) * distance`, where `distance` is
        `temperature**2 * KL(softmax(t / temperature), softmax(s / temperature))` of the logits t of the
        teacher and s of the student, averaged over samples; logits of probabilities are their logarithms.
        Of values that are not classes it is the mean squared difference.

    Args:
        teacher: Model of the same inputs and outputs. It is only called, in inference.
        label_weight: What the labels count for, 0 to 1.
        temperature: Above 0.
        outputs: `"logits"`, `"probabilities"` or `"values"`.
        distance: A `keras.distillation.LogitsDistillation` in place of the one above.

    Threads: may share one.

    References:
        Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
    """

    teacher: keras.Model
    label_weight: float = 0.25
    temperature: float = 4.0
    outputs: str = "logits"
    distance: Any = None

    def loss(self, x: Tensor, outputs: Any, of_labels: Any):
        """Returns the loss of a batch, shape `()`.

        Args:
            x: Inputs.
            outputs: What the student makes of them.
            of_labels: Loss of the labels, `None` without labels.
        """
        theirs = keras.tree.map_structure(ops.stop_gradient, self.teacher(x, training=False))
        if self.outputs == "probabilities" and self.distance is None:
            theirs, outputs = (keras.tree.map_structure(_logits, y) for y in (theirs, outputs))
        distance = self._distance(outputs).compute_loss(theirs, outputs)
        if of_labels is None:
            return distance
        return self.label_weight * of_labels + (1.0 - self.label_weight) * distance

    def _distance(self, outputs):
        if self.distance is not None:
            return self.distance
        # An object: by the name of a loss Keras finds the function, and takes the logits for probabilities.
        kind, temperature = keras.losses.KLDivergence, self.temperature
        if self.outputs == "values":
            kind, temperature = keras.losses.MeanSquaredError, 1.0
        losses = keras.tree.map_structure(lambda _: kind(), outputs)
        return keras.distillation.LogitsDistillation(temperature=temperature, loss=losses)


@contextlib.contextmanager
def taught(model: keras.Model, lesson: Lesson | None) -> Iterator[None]:
    """Lets `model.fit` train on a lesson within the context; validation keeps to the labels if there are any.

    `keras.distillation.Distiller` is a model around both, so that callbacks, backups and exports would get
    it in place of the model that is trained, and it freezes the teacher for good. Here the model itself
    trains, and the teacher stays untouched.

    Args:
        model: Model to train. Compile it inside of the context, with the loss of the labels; with
            `loss=None` the teacher is all that it learns from.
        lesson: What to train on; `None` changes nothing.

    Example:
        >>> import keras, kqat, numpy as np
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        >>> q, x = kqat.quantize(model, bits=4), np.ones((8, 4), "float32")
        >>> with kqat.training.taught(q, kqat.training.Lesson(model)):
        ...     q.compile("adam")
        ...     history = q.fit(x, verbose=0)
    """
    if lesson is None:
        yield
        return
    own = type(model).compute_loss

    def compute_loss(x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if y is None:
            return lesson.loss(x, y_pred, None) + sum(model.losses)
        labels = own(model, x, y, y_pred, sample_weight, training)
        return lesson.loss(x, y_pred, labels) if training else labels

    model.compute_loss = compute_loss
    try:
        yield
    finally:
        del model.compute_loss
        forget_compiled_steps(model)


def _logits(probabilities):
    return ops.log(ops.maximum(probabilities, keras.config.epsilon()))
