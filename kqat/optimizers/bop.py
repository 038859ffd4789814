"""An optimizer that flips binary weights, without latent ones."""

from typing import Any

import keras
from keras import ops

from kqat.core.types import Tensor
from kqat.ops.arrays import as_numpy
from kqat.ops.estimators import signs

BINARY = 1


@keras.saving.register_keras_serializable(package="kqat")
class Bop(keras.optimizers.Optimizer):
    """Flips a weight when the average of its gradient has said so for long enough.

    Update: `m += gamma * (gradient - m)`; a weight with `m * weight > threshold` changes its sign. Weights
    that are not -1 or +1 become so in the first step.

    The weights it trains belong to layers with `kernel_quantizer=kqat.quantizers.NoOp(precision=1)`, and
    other weights to another optimizer: see `CaseOptimizer`.

    Args:
        threshold: Average gradient that flips a weight: a number, or a schedule from the step to one.
        gamma: How fast the average follows the gradient, likewise.
        name: Name of the optimizer.
        **kwargs: `clipnorm`, `clipvalue` and other arguments of a Keras optimizer; there is no learning rate.

    Example:
        >>> import kqat
        >>> optimizer = kqat.optimizers.Bop(threshold=1e-6, gamma=1e-3)

    References:
        Helwegen, Widdicombe, Geiger, Liu, Cheng, Nusselder, "Latent Weights Do Not Exist: Rethinking
        Binarized Neural Network Optimization", 2019.
    """

    def __init__(self, threshold: float = 1e-8, gamma: float = 1e-4, name: str = "Bop", **kwargs: Any):
        super().__init__(learning_rate=1.0, name=name, **kwargs)
        self.threshold = self._hyperparameter("threshold", threshold)
        self.gamma = self._hyperparameter("gamma", gamma)

    def build(self, variables: Any) -> None:
        """Creates the averages."""
        super().build(variables)
        self.averages = [self.add_variable_from_reference(one, name="average") for one in variables]

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        gamma, threshold = (
            ops.cast(self._current(one), variable.dtype) for one in (self.gamma, self.threshold)
        )
        average = self.averages[self._get_variable_index(variable)]
        moved = average + gamma * (ops.cast(gradient, variable.dtype) - average)
        self.assign(average, moved)
        self.assign(variable, signs(-ops.sign(variable * moved - threshold) * variable))

    @staticmethod
    def is_binary_variable(variable: keras.Variable) -> bool:
        """Tells whether a variable is quantized to one bit: a predicate for `CaseOptimizer`."""
        return getattr(variable, "precision", None) == BINARY

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["learning_rate"]
        return {**config, "threshold": _plain(self.threshold), "gamma": _plain(self.gamma)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the optimizer that `get_config` described."""
        made = {key: _object(value, custom_objects) for key, value in config.items()}
        return cls(**made)

    def _hyperparameter(self, name, value):
        """Returns a variable, so that it can change within a compiled training; schedules as they are."""
        if callable(value):
            return value
        start = keras.initializers.Constant(value)
        return self.add_variable((), start, aggregation="only_first_replica", name=name)

    def _current(self, value):
        return value(self.iterations) if callable(value) else value


def _plain(value):
    if callable(value):
        return keras.optimizers.schedules.serialize(value)
    return float(as_numpy(value))


def _object(value, custom_objects):
    if isinstance(value, dict):
        return keras.optimizers.schedules.deserialize(value, custom_objects=custom_objects)
    return value
