"""Counts how many values change from one training step to the next."""

import math
from typing import Any

import keras
from keras import ops

from kqat.core.types import Shape, Tensor
from kqat.ops.arrays import as_numpy


class FlipCounter(keras.layers.Layer):
    """The state behind a flip ratio, among a quantizer's weights, so that every trainer carries it along.

    `ratio` is the mean, over the training steps since `reset`, of the share of levels that differ from those
    of the step before.

    Args:
        **kwargs: `name`.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(dtype="float32", autocast=False, **kwargs)

    def build(self, input_shape: Shape) -> None:
        """Creates the state for a tensor of this shape.

        Raises:
            ValueError: A dimension is not known, so that steps cannot be compared.
        """
        if None in input_shape:
            raise ValueError(
                f"Flips are counted in tensors of one shape. Received: metrics=['flip_ratio'] for the shape "
                f"{tuple(input_shape)}. Use the metric for kernel quantizers, or give the input a batch size."
            )
        settings = {"initializer": "zeros", "trainable": False, "aggregation": "only_first_replica"}
        self.previous = self.add_weight(name="previous", shape=input_shape, **settings)
        self.total = self.add_weight(name="total", shape=(), **settings)
        self.steps = self.add_weight(name="steps", shape=(), **settings)
        self.seen = self.add_weight(name="seen", shape=(), **settings)
        self.built = True

    def call(self, levels: Tensor) -> Any:
        """Counts a step, and returns the levels. The first one ever has none to be compared with."""
        seen = ops.convert_to_tensor(self.seen)
        changed = ops.cast(ops.not_equal(levels, ops.convert_to_tensor(self.previous)), "float32")
        self.total.assign(self.total + seen * ops.sum(changed) / math.prod(levels.shape))
        self.steps.assign(self.steps + seen)
        self.seen.assign(ops.ones_like(seen))
        self.previous.assign(levels)
        return levels

    def reset(self):
        """Starts a new mean; the next step is still compared with the last one."""
        self.total.assign(0.0)
        self.steps.assign(0.0)

    @property
    def ratio(self) -> float:
        """The mean since `reset`, 0 without steps."""
        total, steps = (float(as_numpy(one)) for one in (self.total, self.steps))
        return total / steps if steps else 0.0
