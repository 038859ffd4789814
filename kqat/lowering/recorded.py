"""An operation that computes with weights of a user's own layer: `x * self.gamma`, `x + self.positions`.

Forward: `clip(rint(operation(x, w) * (1 / so)), qmin, qmax) * so`
"""

from dataclasses import replace

import keras
from keras import ops

from kqat.lowering.arguments import to_numpy
from kqat.lowering.base import Input, Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.registry import lowering_for, register
from kqat.lowering.rescale import unfused


@keras.saving.register_keras_serializable(package="kqat")
class Recorded(keras.layers.Layer):
    """One operation of `keras.ops` on tensors and on weights that this layer holds.

    Forward: `y = operation(*args, **kwargs)`, the arguments filled in.

    Args:
        operation: Operation that `keras.ops` recorded.
        places: Its arguments `(args, kwargs)` as a flat list in the order of their structure, `["input", i]`
            for the i-th tensor, `["weight", i]` for the i-th weight, `["value", x]` for anything else.
        names: Keywords of the last arguments; those before are positional.
        weights: For each weight, `shape`, `dtype` and `trainable`.
    """

    def __init__(self, operation, places, names=(), weights=(), **kwargs):
        super().__init__(**kwargs)
        self.operation = operation
        self.__dict__["_settings"] = {
            "places": [list(place) for place in places],
            "names": list(names),
            "weights": [dict(weight) for weight in weights],
        }

    @property
    def weight_names(self) -> list[str]:
        """Attributes of the weights."""
        return [f"weight_{i}" for i in range(len(self._settings["weights"]))]

    def hold(self, variables) -> "Recorded":
        """Takes variables that exist already for its weights, shared with their owner."""
        for name, variable in zip(self.weight_names, variables, strict=True):
            setattr(self, name, variable)
        self.built = True
        return self

    def build(self, input_shape):
        """Creates the weights; their values are to be copied in."""
        for name, spec in zip(self.weight_names, self._settings["weights"], strict=True):
            settings = {**spec, "shape": tuple(spec["shape"])}
            setattr(self, name, self.add_weight(name=name, initializer="zeros", **settings))
        self.built = True

    def fill(self, tensors, weights):
        """Returns the arguments `(args, kwargs)` of the operation."""
        given = {"input": list(tensors), "weight": list(weights)}
        values = [given[kind][x] if kind in given else x for kind, x in self._settings["places"]]
        count = len(values) - len(self._settings["names"])
        return tuple(values[:count]), dict(zip(self._settings["names"], values[count:], strict=True))

    def call(self, inputs):
        """Returns what the operation makes of a tensor, or of a list of tensors."""
        weights = [ops.convert_to_tensor(getattr(self, name)) for name in self.weight_names]
        args, kwargs = self.fill(keras.tree.flatten(inputs), weights)
        return self.operation(*args, **kwargs)

    def compute_output_spec(self, inputs):
        """Returns the shape and dtype of the output."""
        shapes = [weight["shape"] for weight in self._settings["weights"]]
        weights = [keras.KerasTensor(tuple(shape), self.compute_dtype) for shape in shapes]
        args, kwargs = self.fill(keras.tree.flatten(inputs), weights)
        return self.operation.compute_output_spec(*args, **kwargs)

    def get_config(self):
        """Returns the configuration, operation included."""
        operation = keras.saving.serialize_keras_object(self.operation)
        return {**super().get_config(), "operation": operation, **self._settings}

    @classmethod
    def from_config(cls, config):
        """Returns the layer that `get_config` described."""
        operation = config["operation"]
        if isinstance(operation, dict):
            operation = keras.saving.deserialize_keras_object(operation)
        return cls(**{**config, "operation": operation})


@register(Recorded)
class RecordedBody(FloatBody):
    """Written as the float operator, the weights as float constants."""

    reason = "arithmetic with a weight of a custom layer"

    def body(self, step, *inputs):
        op: Recorded = step.op
        weights = [ops.convert_to_tensor(getattr(op, name)) for name in op.weight_names]
        args, kwargs = op.fill([unfused(x) for x in inputs], weights)
        return unfused(op.operation(*args, **kwargs))

    def write_body(self, writer, step, inputs, name):
        op: Recorded = step.op
        weights = [getattr(op, attribute) for attribute in op.weight_names]
        constants = [
            writer.constant(f"{name}/{attribute}", to_numpy(value))
            for attribute, value in zip(op.weight_names, weights, strict=True)
        ]
        everything = [*inputs, *constants]
        places = [Input(i) for i in range(len(everything))]
        args, kwargs = op.fill(places[: len(inputs)], places[len(inputs) :])
        nothing = (None,) * len(everything)
        inside: Step = replace(step, op=op.operation, inputs=nothing, output=None, args=args, kwargs=kwargs)
        return lowering_for(op.operation).emit(writer, inside, everything, name)
