"""A custom layer as one piece: its whole call in float, between exact borders.

Forward: `clip(rint(call(x) * (1 / so)), qmin, qmax) * so`

The call is recorded when a model is built, and what was recorded is both computed and written, operation
by operation.
"""

from weakref import WeakKeyDictionary

import keras
from keras import ops

from kqat.lowering.float_body import FloatBody, weight, write_weight
from kqat.lowering.float_operation import compute_operation, write_operation
from kqat.lowering.recording.calls import Closed, own_variables, parameters, record_inference
from kqat.lowering.registry import lowering_for, register_own


class RecordedCall:
    """The recorded call of a layer.

    Args:
        layer: Built layer.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.

    Raises:
        Closed: What the call does leaves no complete record, or there is no operator for it.
    """

    def __init__(self, layer, args, kwargs):
        fresh = lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype) if _is_symbolic(x) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(fresh, (args, kwargs))
        self._inputs = [id(x) for x in keras.tree.flatten((args, kwargs)) if _is_symbolic(x)]
        if "training" in parameters(layer.call):
            kwargs = {**kwargs, "training": False}
        recording = record_inference(layer, args, kwargs)
        if not _is_symbolic(recording.outputs):
            raise Closed("it has several outputs")
        self._output, self._calls = recording.outputs, recording.calls
        if any(getattr(call, "anchors", ()) for call in self._calls):
            raise Closed("it computes with sizes of its inputs")
        self._names = {i: name for name, i in _attributes(layer).items()}
        for record in self._calls:
            _demand_operator(record.operation)

    def run(self, inputs, read, apply):
        """Returns the output of the last operation.

        Args:
            inputs: Tensors, or references.
            read: Returns the weight of an attribute.
            apply: Returns what an operation makes of its arguments; called with both, and a number.
        """
        known = dict(zip(self._inputs, inputs, strict=True))
        fill = lambda x: self._fill(x, known, read)  # noqa: E731
        for number, record in enumerate(self._calls):
            args, kwargs = tuple(record.arguments.args), dict(record.arguments.kwargs)
            result = apply(record.operation, *keras.tree.map_structure(fill, (args, kwargs)), number)
            known.update(zip(map(id, record.output_tensors), keras.tree.flatten(result), strict=True))
        return known[id(self._output)]

    def _fill(self, leaf, known, read):
        if _is_symbolic(leaf):
            return known[id(leaf)]
        return read(self._names[id(leaf)]) if isinstance(leaf, keras.Variable) else leaf


@register_own
class CustomCall(FloatBody):
    """The recorded call of a layer, written operation by operation."""

    reason = "float arithmetic of a custom layer"

    def __init__(self):
        self._calls_of: WeakKeyDictionary[keras.Operation, RecordedCall | None] = WeakKeyDictionary()

    def prepare(self, op, args, kwargs):
        try:
            self._calls_of[op] = RecordedCall(op, args, kwargs)
        except Closed:
            self._calls_of[op] = None

    def serves(self, op):
        return self._calls_of.get(op) is not None

    def body(self, step, *inputs):
        read = lambda name: ops.convert_to_tensor(weight(step, name))  # noqa: E731
        apply = lambda operation, args, kwargs, number: compute_operation(operation, args, kwargs)  # noqa: E731
        return self._calls_of[step.op].run(inputs, read, apply)

    def write_body(self, writer, step, inputs, name):
        def read(attribute):
            return write_weight(writer, step, attribute, f"{name}/{attribute}")

        def apply(operation, args, kwargs, number):
            return write_operation(writer, operation, args, kwargs, f"{name}/{number}_{operation.name}")

        return writer.renamed(self._calls_of[step.op].run(inputs, read, apply), name)


def _is_symbolic(leaf) -> bool:
    return isinstance(leaf, keras.KerasTensor)


def _attributes(layer) -> dict[str, int]:
    """Returns the identity of each variable of a layer, by the attribute that holds it."""
    own = own_variables(layer)
    return {name: id(value) for name, value in vars(layer).items() if id(value) in own}


def _demand_operator(operation) -> None:
    if isinstance(operation, keras.layers.Layer) and operation.variables:
        raise Closed(f"it calls the layer '{operation.name}', which has weights")
    if lowering_for(operation) is None:
        raise Closed(f"there is no operator for {type(operation).__name__}")
