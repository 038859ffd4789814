"""Weights that a custom layer computes with directly get a layer that holds them."""

import keras

from kqat.core.errors import TraceError
from kqat.lowering.constant import Constant
from kqat.lowering.linear import Linear
from kqat.lowering.recorded import Recorded
from kqat.lowering.recording.sizes import located


class WeightHolders:
    """Which layer holds each variable that an operation reads directly.

    One variable has one home, however often the layer that owns it is called.
    """

    def __init__(self):
        self._homes: dict[int, tuple] = {}

    def copy(self) -> "WeightHolders":
        """Returns an object that may be extended apart from this one."""
        other = WeightHolders()
        other._homes = dict(self._homes)
        return other

    def bind(self, record, name: str):
        """Returns the layer that computes a recorded call with variables or unknown sizes, and its tensors.

        Args:
            record: Keras's record of the call, or a `Call`.
            name: Name of the layer.

        Raises:
            TraceError: A variable is read by two different operations.
        """
        if isinstance(record.operation, Constant):
            return _constant(record), list(record.anchors)
        args, kwargs = tuple(record.arguments.args), dict(record.arguments.kwargs)
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
        leaves = [*args, *kwargs.values()]
        anchors = getattr(record, "anchors", ())
        tensors = _unique([*(leaf for leaf in leaves if isinstance(leaf, keras.KerasTensor)), *anchors])
        variables = _unique(leaf for leaf in leaves if isinstance(leaf, keras.Variable))
        places = [_place(leaf, tensors, variables) for leaf in leaves]
        key = (type(record.operation), str(places), tuple(map(id, variables)))
        known = {self._homes[id(v)] for v in variables if id(v) in self._homes}
        if any(k != key for k, _ in known):
            raise TraceError(
                f"Two operations compute with the weight '{variables[0].path}'. Received: the second one, "
                f"'{name}'. Move the weight into a layer of its own, and call that layer twice."
            )
        if known:
            return next(iter(known))[1], tensors
        sizes = {k: located(v, _positions(tensors, anchors)) for k, v in getattr(record, "sizes", {}).items()}
        layer = _layer(record.operation, places, list(kwargs), variables, sizes, name)
        self._homes |= {id(v): (key, layer) for v in variables}
        return layer, tensors


def _constant(record) -> Constant:
    sizes = record.sizes.get("shape")
    positions = _positions(record.anchors, record.anchors)
    return Constant(record.operation.constant, None if sizes is None else located(sizes, positions))


def _positions(tensors, anchors) -> dict[int, int]:
    """Returns for each axis of unknown size which tensor has it."""
    places = {id(tensor): i for i, tensor in enumerate(tensors)}
    return {
        axis: places[id(x)] for x in reversed(anchors) for axis, size in enumerate(x.shape) if size is None
    }


def _unique(leaves) -> list:
    return list({id(leaf): leaf for leaf in leaves}.values())


def _place(leaf, tensors, variables):
    for kind, known in (("input", tensors), ("weight", variables)):
        for i, item in enumerate(known):
            if item is leaf:
                return [kind, i]
    return ["value", leaf]


def _layer(operation, places, names, variables, sizes, name):
    is_matrix = len(variables) == 1 and len(variables[0].shape) == 2
    if type(operation).__name__ == "Matmul" and is_matrix and places == [["input", 0], ["weight", 0]]:
        return Linear(variables[0].shape[-1], name=name).hold(variables)
    specs = [{"shape": list(v.shape), "dtype": v.dtype, "trainable": v.trainable} for v in variables]
    return Recorded(operation, places, names, specs, sizes, name=name).hold(variables)
