"""TOPK_V2: the largest values along the last axis and where they are, the first of equal ones first.

Forward: the order of a stable sort, because `ops.top_k` leaves the order of equal values to the backend.
"""

import keras
import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.moves import like
from kqat.lowering.arithmetic.rescale import require_no_activation
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH


@keras.saving.register_keras_serializable(package="kqat")
class TopK(keras.layers.Layer):
    """`ops.top_k` with an order of equal values: the first one comes first.

    Args:
        k: How many values.
    """

    def __init__(self, k, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.k = int(k)

    def call(self, inputs):
        """Returns the `k` largest values along the last axis, and their indices in int32."""
        real = keras.backend.is_float_dtype(keras.backend.standardize_dtype(inputs.dtype))
        order = ops.argsort(ops.negative(inputs if real else ops.cast(inputs, "int32")), axis=-1)
        order = order[..., : self.k]
        return ops.take_along_axis(inputs, order, axis=-1), ops.cast(order, "int32")

    def as_operation(self, inputs):
        """Returns what Keras's own operation makes of the tensor."""
        return ops.top_k(inputs, self.k)

    def compute_output_spec(self, inputs):
        """Returns the shapes and types of both outputs."""
        shape = (*inputs.shape[:-1], self.k)
        return keras.KerasTensor(shape, inputs.dtype), keras.KerasTensor(shape, "int32")

    def get_config(self):
        """Returns the configuration."""
        return {**super().get_config(), "k": self.k}


@register(TopK, treatment=PASSTHROUGH)
class TopKLowering(PassThrough):
    """TOPK_V2 of real numbers, of levels, or of integers."""

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        (x,) = inputs
        if x.dtype == "int16":
            raise UnsupportedError(
                f"{step.op.name!r} has no kernel between int16 tensors. Received: 16 bits. Use 8 bits for it."
            )
        plain = x if x.dtype in ("float32", "int8", "int32", "int64") else None
        source = x if plain is not None else writer.cast(x, "int32", f"{name}/int32")
        shape = (*x.shape[:-1], step.op.k)
        values = like(writer, source, shape, f"{name}/values")
        indices = writer.activation(f"{name}/indices", shape, dtype="int32")
        k = writer.constant(f"{name}/k", np.int32(step.op.k))
        writer.operator("TOPK_V2", [source, k], [values, indices], "TopKV2Options")
        return [values if plain is not None else writer.cast(values, x.dtype, name), indices]
