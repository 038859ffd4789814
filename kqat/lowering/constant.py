"""Values that a custom layer makes in its call, such as the positions of a sequence, as a layer."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.lowering.arithmetic.broadcast import write_repeated
from kqat.lowering.float_body import FloatBody
from kqat.lowering.recording.sizes import example_shape, filled, merged_shape
from kqat.lowering.registry import register
from kqat.lowering.treatment import ARITHMETIC


@keras.saving.register_keras_serializable(package="kqat")
class Constant(keras.layers.Layer):
    """Returns a constant, whatever it is called on.

    Args:
        value: Array.
        sizes: Shape to broadcast it to, which follows from the sizes of the inputs, in the form of
            `lowering.sizes`; `None` for that of the array.
    """

    def __init__(self, value, sizes=None, **kwargs):
        super().__init__(**kwargs)
        value = np.asarray(value)
        self.constant = value.astype(np.float32) if np.issubdtype(value.dtype, np.floating) else value
        self.sizes = sizes

    def call(self, inputs):
        """Returns the constant."""
        if self.sizes is None:
            return ops.convert_to_tensor(self.constant)
        shapes = [ops.shape(x) for x in keras.tree.flatten(inputs)]
        return ops.broadcast_to(self.constant, filled(self.sizes, shapes))

    def compute_output_spec(self, inputs):
        """Returns the shape and dtype of the constant."""
        shapes = [x.shape for x in keras.tree.flatten(inputs)]
        if self.sizes is None:
            shape = self.constant.shape
        else:
            examples: Any = [filled(self.sizes, [example_shape(s, n) for s in shapes]) for n in (0, 1)]
            shape = merged_shape(*examples)
        return keras.KerasTensor(shape, self.constant.dtype.name)

    def get_config(self):
        """Returns the configuration, values included."""
        values = {"value": self.constant.tolist(), "kind": self.constant.dtype.name, "sizes": self.sizes}
        return {**super().get_config(), **values}

    @classmethod
    def from_config(cls, config):
        """Returns the layer that `get_config` described."""
        kind = config.pop("kind", None)
        return cls(**{**config, "value": np.asarray(config["value"], kind)})


@register(Constant, treatment=lambda op: ARITHMETIC if op.constant.dtype == "float32" else None)
class ConstantBody(FloatBody):
    """A constant of the file, repeated for each example where its shape says so."""

    reason = "a constant of a custom layer"
    reads_levels = True  # it reads the sizes of its inputs, whatever they hold

    def reads_values(self, op):
        return False

    def body(self, step, *inputs):
        return step.op.call(list(inputs))

    def write_body(self, writer, step, inputs, name):
        return write_repeated(writer, writer.constant(name, step.op.constant), step.op.sizes, inputs, name)
