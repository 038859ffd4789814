"""How many values change from one look to the next."""

import math
from typing import Any

import keras
from keras import ops

from kqat.core.types import Shape, Tensor


@keras.saving.register_keras_serializable(package="kqat")
class FlipRatio(keras.metrics.Metric):
    """The mean share of values that differ from those of the update before.

    For the weights of a layer in training, use `metrics=["flip_ratio"]` of the layer and
    `kqat.callbacks.FlipRatioMonitor`.

    Args:
        values_dtype: Type in which values are kept and compared.
        name: Name of the metric.
        dtype: Type of the mean.

    Example:
        >>> import kqat
        >>> metric = kqat.metrics.FlipRatio()
        >>> for values in ((1, 1), (2, 2), (1, 2)):
        ...     metric.update_state(values)
        >>> float(metric.result())
        0.75
    """

    def __init__(self, values_dtype: str = "int8", name: str = "flip_ratio", dtype: str | None = None):
        super().__init__(name=name, dtype=dtype)
        self.values_dtype = keras.backend.standardize_dtype(values_dtype)
        self.previous = None

    def build(self, shape: Shape) -> None:
        """Creates the state for values of this shape."""
        self.previous = self.add_variable(shape, "zeros", self.values_dtype, name="previous")
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")
        self.seen = self.add_variable((), "zeros", name="seen")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Compares values with those of the update before; the first one has none."""
        values = ops.cast(ops.convert_to_tensor(values), self.values_dtype)
        if self.previous is None:
            self.build(values.shape)
        changed = ops.cast(ops.not_equal(values, self.previous), self.dtype)
        seen = ops.convert_to_tensor(self.seen)
        self.total.assign(self.total + seen * ops.sum(changed) / math.prod(values.shape))
        self.count.assign(self.count + seen)
        self.seen.assign(ops.ones_like(seen))
        self.previous.assign(values)

    def result(self) -> Tensor:
        """Returns the mean, 0 without a comparison."""
        if self.previous is None:
            return ops.zeros((), self.dtype)
        return self.total / ops.maximum(self.count, 1)

    def reset_state(self) -> None:
        """Starts a new mean; the next values are still compared with the last ones."""
        if self.previous is not None:
            self.total.assign(0)
            self.count.assign(0)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration."""
        return {**super().get_config(), "values_dtype": self.values_dtype}
