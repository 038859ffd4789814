"""An operation that computes with weights of a custom layer: `x * self.gamma`, `x + self.positions`.

Forward: `clip(rint(operation(x, w) * (1 / so)), qmin, qmax) * so`
"""

from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from kqat.core.errors import TraceError, UnsupportedError
from kqat.lowering.arguments import to_numpy
from kqat.lowering.arithmetic.broadcast import target_shape, write_repeated
from kqat.lowering.arithmetic.rescale import unfused
from kqat.lowering.base import Input, Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.recording.sizes import example_shape, filled, merged_shape
from kqat.lowering.registry import lowering_for, register
from kqat.lowering.treatment import ARITHMETIC, Treatment


@keras.saving.register_keras_serializable(package="kqat")
class Recorded(keras.layers.Layer):
    """One operation of `keras.ops` on tensors and on weights that this layer holds.

    Forward: `y = operation(*args, **kwargs)`, the arguments filled in.

    Args:
        operation: Operation that `keras.ops` recorded.
        places: Its arguments `(args, kwargs)` as a flat list in the order of their structure, `["input", i]`
            for the i-th tensor, `["weight", i]` for the i-th weight, `["value", x]` for anything else; an
            array is kept as `["array", ...]` with its values and type.
        names: Keywords of the last arguments; those before are positional.
        weights: For each weight, `shape`, `dtype` and `trainable`.
        sizes: Settings of the operation that follow from the sizes of the inputs, by attribute, in the form
            of `lowering.sizes`.
    """

    def __init__(self, operation, places, names=(), weights=(), sizes=None, **kwargs):
        super().__init__(**kwargs)
        self.operation = operation
        self.__dict__["_settings"] = {
            "places": [_plain(*place) for place in places],
            "names": list(names),
            "weights": [dict(weight) for weight in weights],
            "sizes": dict(sizes or {}),
        }

    @property
    def weight_names(self) -> list[str]:
        """Attributes of the weights."""
        return [f"weight_{i}" for i in range(len(self._settings["weights"]))]

    @property
    def sizes(self) -> dict:
        """Settings of the operation that follow from the sizes of the inputs, by attribute."""
        return self._settings["sizes"]

    @property
    def reads_weights_alone(self) -> bool:
        """Whether the inputs are there for their sizes only."""
        return not any(kind == "input" for kind, _ in self._settings["places"])

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
        values = [
            given[kind][x] if kind in given else np.asarray(x["values"], x["dtype"]) if kind == "array" else x
            for kind, x in self._settings["places"]
        ]
        count = len(values) - len(self._settings["names"])
        return tuple(values[:count]), dict(zip(self._settings["names"], values[count:], strict=True))

    def operation_for(self, shapes) -> keras.Operation:
        """Returns the operation for inputs of these shapes."""
        if not self.sizes:
            return self.operation
        sized: Any = object.__new__(type(self.operation))  # Keras copies operations by saving them
        vars(sized).update(vars(self.operation), **{k: filled(v, shapes) for k, v in self.sizes.items()})
        return sized

    def call(self, inputs):
        """Returns what the operation makes of a tensor, or of a list of tensors."""
        weights = [ops.convert_to_tensor(getattr(self, name)) for name in self.weight_names]
        tensors = keras.tree.flatten(inputs)
        args, kwargs = self.fill(tensors, weights)
        return self.operation_for([ops.shape(x) for x in tensors] if self.sizes else ())(*args, **kwargs)

    def compute_output_spec(self, inputs):
        """Returns the shape and dtype of the output."""
        tensors = keras.tree.flatten(inputs)
        if not self.sizes:
            return self._spec(tensors)
        given = [[keras.KerasTensor(example_shape(x.shape, n), x.dtype) for x in tensors] for n in (0, 1)]
        try:
            first, second = (self._spec(example) for example in given)
        except ValueError as error:  # equal sizes along different axes count as different ones
            kind, shapes = type(self.operation).__name__, [tuple(x.shape) for x in tensors]
            raise TraceError(
                f"'{self.name}' computes with sizes that are not known. Received: {kind} of {shapes}. Use "
                "kqat.quantize(model, input_shapes=...) with the sizes that the file is to take."
            ) from error
        return keras.KerasTensor(merged_shape(first.shape, second.shape), first.dtype)

    def _spec(self, tensors):
        weights = self._settings["weights"]
        specs = [keras.KerasTensor(tuple(w["shape"]), w["dtype"] or self.compute_dtype) for w in weights]
        args, kwargs = self.fill(tensors, specs)
        return self.operation_for([x.shape for x in tensors]).compute_output_spec(*args, **kwargs)

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


def _plain(kind: str, value) -> list:
    """Returns a place in JSON form."""
    if kind == "value" and isinstance(value, np.ndarray):
        return ["array", {"values": value.tolist(), "dtype": value.dtype.name}]
    return [kind, value]


_ELEMENTWISE = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum")


def _treatment(op: Recorded) -> Treatment | None:
    kind = type(op.operation).__name__
    return ARITHMETIC if kind in _ELEMENTWISE or op.reads_weights_alone or op.sizes else None


@register(Recorded, treatment=_treatment)
class RecordedBody(FloatBody):
    """Written as the float operator, the weights as float constants."""

    reason = "arithmetic with a weight of a custom layer"

    def reads_values(self, op):
        return not op.reads_weights_alone

    def body(self, step, *inputs):
        op: Recorded = step.op
        return _alone(op.call([_alone(x) for x in inputs]))

    def write_body(self, writer, step, inputs, name):
        op: Recorded = step.op
        if op.reads_weights_alone:
            return _write_weight(writer, op, inputs, name)
        if op.sizes:
            return _write_sized(writer, op, inputs, name)
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


def _alone(x):
    """Returns a real tensor such that no compiler merges what made it with what reads it."""
    real = keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))
    return unfused(x) if real else x


def _write_weight(writer, op: Recorded, inputs, name: str):
    """Writes weights that are moved and repeated as one constant, repeated for each example if need be."""
    single = [[size or 1 for size in ref.shape] for ref in inputs]
    args, kwargs = op.fill(
        (), [ops.convert_to_tensor(getattr(op, attribute)) for attribute in op.weight_names]
    )
    constant = writer.constant(f"{name}/weight", to_numpy(op.operation_for(single)(*args, **kwargs)))
    shape = op.compute_output_spec([keras.KerasTensor(ref.shape, ref.dtype) for ref in inputs]).shape
    if None not in shape:
        return constant
    positions = {"factor": 1, "sizes": [[_with_batch(inputs), 0]]}
    return write_repeated(writer, constant, [positions if s is None else s for s in shape], inputs, name)


def _write_sized(writer, op: Recorded, inputs, name: str):
    kind, sizes = type(op.operation).__name__, next(iter(op.sizes.values()))
    if kind == "Reshape":
        return writer.reshape(inputs[0], target_shape(sizes, inputs), name)
    if kind == "BroadcastTo":
        return write_repeated(writer, inputs[0], sizes, inputs, name)
    raise UnsupportedError(
        f"{name!r} cannot be written. Received: {kind} with settings that follow from sizes of its inputs. "
        "Use reshape, broadcast_to or tile, or give the model fixed sizes."
    )


def _with_batch(inputs) -> int:
    return next(i for i, ref in enumerate(inputs) if ref.shape and ref.shape[0] is None)
