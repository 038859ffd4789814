"""Records a call such that it holds for inputs of any size, and with the weights that it computes on.

The call is recorded twice, with inputs of two different sizes. Numbers that differ between the recordings
follow from the sizes, and are recorded as such: in `ops.reshape(x, (ops.shape(x)[0], -1, 4))` the first one
is unknown, neither of the two.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import keras
import numpy as np

from kqat.keras_private import BOOKKEEPING, maker_of, mask_of, set_mask
from kqat.lowering.constant import Constant
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.recording.records import Arguments, Call, Sized
from kqat.lowering.recording.simpler import simpler
from kqat.lowering.recording.sizes import FOLDED, Size, example_shape, merged, merged_shape
from kqat.lowering.recording.symbolic_state import Stand, symbolic_state
from kqat.ops.arrays import as_numpy

# Operations on weights alone that only rearrange or repeat them.
_MOVES = frozenset((
    "BroadcastTo", "Tile", "Repeat", "Reshape", "ExpandDims", "Squeeze", "Transpose", "Cast",
    "ConvertToTensor", "GetItem", "Identity", "Copy", "StopGradient", "Swapaxes", "Moveaxis", "Ravel", "Flip",
    "Take", "Slice",
))  # fmt: skip
# Those that round once, as IEEE 754 says: a constant of the file is what the model computes anew each time.
_EXACT = frozenset(("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Negative", "Maximum", "Minimum"))


class NotRecordable(Exception):
    """Why a call cannot be recorded."""


class _Reads(keras.StatelessScope):
    """Notes which variables are read, and so may be hidden in values that leave no record."""

    def __init__(self):
        super().__init__(collect_losses=True)
        self.read: list[keras.Variable] = []

    def get_current_value(self, variable):
        self.read.append(variable)
        return super().get_current_value(variable)


@dataclass
class _Raw:
    """One recording with inputs of known sizes."""

    inputs: list
    outputs: Any
    calls: list
    stand: Stand


def record_sized(
    layer: keras.layers.Layer,
    call: Callable,
    inputs: Sequence,
    in_order: Callable,
    keeps_state: bool = False,
    enters: bool = False,
) -> Sized:
    """Returns the symbolic outputs of a call, and the calls that make them.

    Args:
        layer: Built layer or model whose call it is.
        call: Makes the call, given a list of tensors in place of `inputs`.
        inputs: Symbolic inputs, of which any size may be unknown.
        in_order: `calls_in_order` of `lowering.recording`.
        keeps_state: Whether losses and assignments of the call are left out; else they are an obstacle.
        enters: Whether the calls inside of custom layers are recorded in place of the calls of these layers,
            which may then return, and be called with, anything.

    Raises:
        NotRecordable: What the call does is not all in the record, or follows from sizes but is no product.
    """
    try:
        return _recorded_twice(layer, call, inputs, in_order, keeps_state, enters, 1)
    except NotRecordable:
        if not any(x.shape and x.shape[0] is None for x in inputs):
            raise
        with suppress(NotRecordable):
            return _recorded_twice(layer, call, inputs, in_order, keeps_state, enters, FOLDED)
        raise


def _recorded_twice(layer, call, inputs, in_order, keeps_state: bool, enters: bool, fold: int) -> Sized:
    settings = (in_order, keeps_state, enters, fold)
    first, second = (_record(layer, call, inputs, number, *settings) for number in (0, 1))
    if [type(c.operation) for c in first.calls] != [type(c.operation) for c in second.calls]:
        raise NotRecordable("what it does depends on the size of its inputs")
    merger = _Merger(first, second, list(inputs), fold)
    for pair in zip(first.calls, second.calls, strict=True):
        merger.add(*pair)
    outputs = keras.tree.map_structure(merger.tensor, first.outputs)
    return Sized(outputs, merger.calls, first.stand.entered)


def _record(layer, call, inputs, number: int, in_order, keeps_state: bool, enters: bool, fold: int) -> _Raw:
    given = [keras.Input(batch_shape=example_shape(x.shape, number, fold), dtype=x.dtype) for x in inputs]
    with symbolic_state(layer, in_order if enters else None) as stand:
        try:
            with _Reads() as scope:
                outputs = call(given)
        except Exception as error:
            words = shorten((str(error).splitlines() or [type(error).__name__])[0], 100, placeholder=" ...")
            raise NotRecordable(f"its call cannot be recorded ({words})") from error
    if enters:  # a layer may return nothing in a place, which a call that was not entered cannot
        outputs = [leaf for leaf in keras.tree.flatten(outputs) if leaf is not None]
    if not keeps_state and (scope.state_mapping or scope.losses):
        raise NotRecordable("its call assigns variables or adds losses")
    if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(outputs)):
        raise NotRecordable("it returns something other than tensors")
    if scope.read:
        raise NotRecordable(
            f"its call reads the weight '{scope.read[0].path}' in a way that leaves no record"
        )
    known = {id(x) for x in given} | stand.known
    return _Raw(given, outputs, list(in_order(outputs, known)), stand)


class _Merger:
    """Makes one recording, of unknown sizes, from two."""

    def __init__(self, first: _Raw, second: _Raw, inputs: list, fold: int):
        self._fold = fold
        self.stands, self.inputs, self.calls = (first.stand, second.stand), inputs, []
        self._tensors = dict(zip(map(id, first.inputs), inputs, strict=True))
        self._weights: dict[int, keras.KerasTensor] = {}
        leaves = [id(x) for c in first.calls for x in keras.tree.flatten(_arguments(c))]
        self._uses = {id(v): leaves.count(i) for i, v in first.stand.variables.items()}

    def tensor(self, leaf: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the tensor of the merged recording for one of the first."""
        if id(leaf) not in self._tensors:
            raise NotRecordable("it returns a weight or a constant as it is")
        return self._tensors[id(leaf)]

    def add(self, first, second) -> None:
        """Appends the call that `first` and `second` record."""
        operation, sizes = self._operation(first.operation, second.operation)
        args, kwargs = keras.tree.map_structure(self._leaf, _arguments(first), _arguments(second))
        args, kwargs = self._with_weights(operation, args, kwargs)
        leaves = keras.tree.flatten((args, kwargs))
        if not any(isinstance(leaf, keras.KerasTensor) for leaf in leaves):
            if isinstance(
                operation, keras.layers.Layer
            ):  # on constants: tensors of their own, for a model to hold
                args, kwargs = keras.tree.map_structure(self._held, (args, kwargs))
            elif type(operation).__name__ not in _MOVES | _EXACT:
                raise NotRecordable("it computes with weights alone")
        outputs = [
            _merged_tensor(*pair) for pair in zip(first.output_tensors, second.output_tensors, strict=True)
        ]
        operation, sizes = simpler(operation, sizes, args, outputs)
        anchors = self._anchors(sizes)
        if not anchors and not any(
            isinstance(x, keras.KerasTensor) for x in keras.tree.flatten((args, kwargs))
        ):
            anchors = (self.inputs[0],)
        self._tensors.update(zip(map(id, first.output_tensors), outputs, strict=True))
        inside = self.stands[0].inside.get(id(first), "")
        self.calls.append(Call(operation, Arguments(args, kwargs), outputs, sizes, anchors, inside))

    def _with_weights(self, operation, args, kwargs):
        """Replaces weights by tensors where other operations read them too, or where they are in a list."""
        alone = [leaf for leaf in (*args, *kwargs.values()) if isinstance(leaf, keras.Variable)]
        direct = {
            id(v) for v in alone if self._uses[id(v)] == 1 and not isinstance(operation, keras.layers.Layer)
        }
        replace = lambda x: self._weight(x) if isinstance(x, keras.Variable) and id(x) not in direct else x  # noqa: E731
        return keras.tree.map_structure(replace, (args, kwargs))

    def _weight(self, variable: keras.Variable) -> keras.KerasTensor:
        """Returns a tensor that is a weight as it is."""
        if id(variable) not in self._weights:
            output = keras.KerasTensor(variable.shape, keras.backend.standardize_dtype(variable.dtype))
            copy = maker_of(keras.ops.copy(keras.KerasTensor(variable.shape)))
            anchor = (self.inputs[0],)
            self.calls.append(Call(copy, Arguments((variable,), {}), [output], {}, anchor))
            self._weights[id(variable)] = output
        return self._weights[id(variable)]

    def _operation(self, first, second):
        """Returns the operation, and those of its settings that depend on sizes."""
        if isinstance(first, keras.layers.Layer):
            if first is not second and not _is_made_anew(first, second):
                raise NotRecordable("it makes layers in its call")
            return first, {}
        sizes = {}
        for key, value in vars(first).items():
            other = vars(second).get(key)
            if key not in BOOKKEEPING and not _same(value, other):
                sizes[key] = keras.tree.map_structure(self._merged_number, value, other)
        return first, sizes

    def _leaf(self, first, second):
        if isinstance(first, keras.KerasTensor):
            first_stand, second_stand = self.stands
            if id(first) in first_stand.variables:
                return first_stand.variables[id(first)]
            if id(first) in first_stand.constants:
                return self._constant(first_stand.constants[id(first)], second_stand.constants[id(second)])
            return self.tensor(first)
        if keras.ops.is_tensor(first) or isinstance(first, np.ndarray):
            return self._constant(as_numpy(first), as_numpy(second))
        if not _same(first, second):
            raise NotRecordable("an argument of an operation depends on the size of its inputs")
        return first

    def _constant(self, first: np.ndarray, second: np.ndarray):
        """Returns a value, or where its shape depends on sizes the tensor of a layer that repeats it."""
        if _same(first, second):
            return first
        sizes = [self._merged_number(*pair) for pair in zip(first.shape, second.shape, strict=True)]
        kept = tuple(slice(0, 1) if isinstance(size, Size) else slice(None) for size in sizes)
        row = first[kept]
        if not all(np.array_equal(np.broadcast_to(row, x.shape), x) for x in (first, second)):
            raise NotRecordable("it computes with a constant whose values depend on the size of its inputs")
        return self._held(row, sizes)

    def _held(self, value, sizes=()):
        """Returns the tensor of a layer that holds a constant; anything else as it is."""
        if not isinstance(value, np.ndarray):
            return value
        anchors = self._anchors({"shape": list(sizes)}) or (self.inputs[0],)
        layer = Constant(value)
        shape = tuple(None if isinstance(size, Size) else size for size in sizes or value.shape)
        output = keras.KerasTensor(shape, value.dtype.name)
        given = {"shape": list(sizes)} if sizes else {}
        self.calls.append(Call(layer, Arguments(anchors, {}), [output], given, anchors))
        return output

    def _anchors(self, sizes: dict) -> tuple:
        """Returns the inputs that have the sizes among settings of an operation."""
        found = [s for s in keras.tree.flatten(sizes) if isinstance(s, Size)]
        axes = sorted({axis for size in found for axis in size.axes})
        unknown = {
            axis: x for x in reversed(self.inputs) for axis, size in enumerate(x.shape) if size is None
        }
        return tuple({id(unknown[axis]): unknown[axis] for axis in axes}.values())

    def _merged_number(self, first, second):
        if isinstance(first, int | np.integer) and isinstance(second, int | np.integer):
            found = merged(int(first), int(second), self._fold)
            if found is not None:
                return found
        raise NotRecordable(
            "a setting of an operation depends on the size of its inputs, and is no product of sizes"
        )


def _arguments(record) -> tuple[tuple, dict]:
    return tuple(record.arguments.args), dict(record.arguments.kwargs)


def _is_made_anew(first: keras.layers.Layer, second) -> bool:
    """Tells whether two layers that a call made are one and the same, without a state: `layers.add(...)`."""
    if type(first) is not type(second) or first.variables or second.variables or is_own_layer(first):
        return False
    configs = [layer.get_config() for layer in (first, second)]
    return all(config.pop("name", None) for config in configs) and configs[0] == configs[1]


def _merged_tensor(first, second) -> keras.KerasTensor:
    tensor = keras.KerasTensor(merged_shape(first.shape, second.shape), first.dtype)
    set_mask(tensor, mask_of(first))
    return tensor


def _same(first, second) -> bool:
    if isinstance(first, np.ndarray) or keras.ops.is_tensor(first):
        return np.array_equal(as_numpy(first), as_numpy(second))
    return first is second or str(first) == str(second)
