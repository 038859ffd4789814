"""Turns one call of a model into an island: as it is, or as the record of what happens inside of it."""

from operator import attrgetter
from typing import Any

import keras
import numpy as np

from kqat.core.errors import ExportError
from kqat.export.fallback.island import Call, Island, Value
from kqat.export.fallback.portable import portable
from kqat.export.fallback.rewrites import rewritten
from kqat.layers.quantized import Quantized
from kqat.lowering.base import Input
from kqat.lowering.recording.calls import Closed, calls_in_order, parameters, record_constants
from kqat.ops.arrays import as_numpy
from kqat.transforms.record import restored


def read_island(name: str, op, inputs, args, kwargs, outputs: int, travels: bool) -> Island:
    """Returns the island of one call.

    Args:
        name: Name of the layer.
        op: Layer or operation.
        inputs: Shape and dtype of each input.
        args: Positional arguments, `Input(i)` for the i-th tensor.
        kwargs: Keyword arguments, likewise.
        outputs: How many tensors it makes.
        travels: Whether another process is to run it. Layers that the other process cannot make again are
            then replaced by what happens in their call.

    Raises:
        ExportError: Such a layer calls something other than Keras's operations.
    """
    place = lambda leaf: Value(leaf.position) if isinstance(leaf, Input) else leaf  # noqa: E731
    args, kwargs = keras.tree.map_structure(place, (args, kwargs))
    reader = _Reader(name, [keras.Input(batch_shape=shape, dtype=dtype) for shape, dtype in inputs], travels)
    made = reader.add(op, args, kwargs, outputs)
    return Island(name, type(_inner(op)).__name__, tuple(inputs), tuple(reader.calls), made)


def _inner(op):
    return op.operation if isinstance(op, Quantized) else op


class _Reader:
    """Collects the calls of one island.

    Args:
        name: Name of the layer, for messages.
        specs: Symbolic tensor of each input.
        travels: As for `read_island`.
    """

    def __init__(self, name: str, specs: list, travels: bool):
        self.name, self.specs, self.travels = name, list(specs), travels
        self.calls: list[Call] = []
        self._numbers: dict[int, int] = {}  # of symbolic tensors, by identity
        self._kept: list = []  # so that no identity is given twice
        self._rounded: dict[int, np.ndarray] = {}  # values of weights that a layer around them quantizes

    def add(self, op, args, kwargs, outputs: int) -> tuple[int, ...]:
        """Adds a call, and returns the numbers of the tensors that it makes."""
        other = rewritten(op, self.specs[args[0].number]) if args and isinstance(args[0], Value) else None
        if other is not None:
            with restored(op):
                return self._add_records(other(self._symbolic(args[0], {})))
        layer = isinstance(op, keras.layers.Layer)
        if layer:
            inference = {"training": False} if "training" in parameters(op.call) else {}
            kwargs = {key: value for key, value in kwargs.items() if key != "training"} | inference
        if not self.travels:
            return self._append(op, op, args, kwargs, outputs)
        config, obstacle = portable(op)
        if config is not None:
            return self._append(op, config, args, kwargs, outputs)
        if layer:
            return self._open(op, args, kwargs, obstacle)
        raise self._refusal(op, obstacle)

    def _append(self, op, form, args, kwargs, outputs: int) -> tuple[int, ...]:
        made = tuple(range(len(self.specs), len(self.specs) + outputs))
        self.specs += [None] * outputs
        weights = tuple(self._value(variable) for variable in getattr(op, "variables", ()))
        self.calls.append(Call(form, args, kwargs, made, weights))
        return made

    def _open(self, layer, args, kwargs, obstacle: str) -> tuple[int, ...]:
        """Adds what happens in the call of a layer."""
        if isinstance(layer, Quantized):
            self._rounded |= _rounded(layer)
        fresh: dict[int, Any] = {}
        call = keras.tree.map_structure(lambda leaf: self._symbolic(leaf, fresh), (args, kwargs))
        with restored(layer):
            try:
                results = record_constants(layer, *call)
            except Closed as error:
                raise self._refusal(layer, f"{obstacle}, and {error}") from error
            return self._add_records(results)

    def _add_records(self, results) -> tuple[int, ...]:
        """Adds the calls that made symbolic results, and returns the numbers of these."""
        for record in calls_in_order(results, self._numbers):
            self._add_record(record)
        return tuple(self._numbers[id(leaf)] for leaf in keras.tree.flatten(results))

    def _symbolic(self, leaf, fresh: dict[int, Any]):
        if not isinstance(leaf, Value):
            return leaf
        if leaf.number not in fresh:
            spec = self.specs[leaf.number]
            fresh[leaf.number] = keras.Input(batch_shape=spec.shape, dtype=spec.dtype)
            self._know(fresh[leaf.number], leaf.number)
        return fresh[leaf.number]

    def _know(self, tensor, number: int) -> None:
        self._kept.append(tensor)
        self._numbers[id(tensor)] = number

    def _add_record(self, record) -> None:
        given = (tuple(record.arguments.args), dict(record.arguments.kwargs))
        args, kwargs = keras.tree.map_structure(self._leaf, given)
        kwargs = {key: value for key, value in kwargs.items() if value is not None or key != "mask"}
        made = self.add(record.operation, args, kwargs, len(record.output_tensors))
        for number, tensor in zip(made, record.output_tensors, strict=True):
            self._know(tensor, number)
            self.specs[number] = tensor

    def _leaf(self, leaf):
        if isinstance(leaf, keras.KerasTensor):
            return Value(self._numbers[id(leaf)])
        return self._value(leaf) if isinstance(leaf, keras.Variable) or keras.ops.is_tensor(leaf) else leaf

    def _value(self, leaf) -> np.ndarray:
        rounded = self._rounded.get(id(leaf))
        return as_numpy(leaf) if rounded is None else rounded

    def _refusal(self, op, why: str) -> ExportError:
        return ExportError(
            f"Layer '{self.name}' cannot be handed to TensorFlow's converter: {why}. Received: "
            f"{type(_inner(op)).__name__} on {keras.backend.backend()}. Use operations of keras.ops and "
            "layers in its call, or KERAS_BACKEND=tensorflow."
        )


def _rounded(layer: Quantized) -> dict[int, np.ndarray]:
    """Returns the values of the weights that a layer quantizes, by identity of the variable."""
    values = {}
    for name, quantizer in layer.weight_quantizers.items():
        variable = attrgetter(name)(layer.operation)
        rounded = quantizer(keras.ops.convert_to_tensor(variable), training=False)
        values[id(variable)] = as_numpy(rounded)
    return values
