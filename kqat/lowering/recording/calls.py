"""Keras's record of what happens in the call of one layer."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import keras

from kqat.keras_private import call_of, layers_of, mask_of
from kqat.lowering.constant import Constant
from kqat.lowering.recording.sized import NotRecordable, record_sized


class Closed(Exception):
    """Why a custom layer is kept whole."""


class DoesNothing(Closed):
    """The layer hands its input on in inference."""


class Masked(Closed):
    """The layer is called with a mask, which would be lost on the way through a wrapper."""


@dataclass(frozen=True)
class Recording:
    """What happens in a call.

    Args:
        outputs: Structure of the symbolic tensors that it returns.
        calls: Records of the calls that make them, producers first.
        is_sized: Whether the record is one of `recording.sized`.
        entered: Layers inside whose calls were entered, see `record_sized`; `None` where none was to be.
        adds_losses: Whether the call adds losses, which are not in the record.
    """

    outputs: Any
    calls: list
    is_sized: bool = False
    entered: list | None = None
    adds_losses: bool = False

    def owned_by(self, layer) -> dict[int, keras.Variable]:
        """Returns the variables that operations of the recording may read directly, by identity."""
        return {i: v for part in (layer, *(self.entered or ())) for i, v in own_variables(part).items()}


def record_layer(layer, args, kwargs, enters: bool = False) -> Recording:
    """Returns what happens in a layer's call, if it is the same in training and in inference.

    Args:
        layer: Built layer.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.
        enters: Whether the calls of custom layers inside are entered, see `record_sized`.

    Raises:
        Closed: What the call does is not all in the record, or depends on `training`.
    """
    given = symbolic_in(args, kwargs)
    if layer.compute_dtype != "float32":
        raise Closed(f"it computes in {layer.compute_dtype}")
    if any(
        getattr(v, "regularizer", None) or getattr(v, "constraint", None)
        for v in own_variables(layer).values()
    ):
        raise Closed("its weights have a regularizer or a constraint")
    if layer.activity_regularizer is not None:
        raise Closed("what it computes is regularized")
    recording = _sized(layer, args, kwargs, True) if enters else record_inference(layer, args, kwargs)
    if "training" in parameters(layer.call) and kwargs.get("training") is None:
        if len(given) == 1 and recording.outputs is given[0] and not layer.weights:
            raise DoesNothing("it computes in training only")
        if steps(recording.calls) != _steps_of_training(layer, args, kwargs, recording):
            raise Closed("it computes something else in training")
    return recording


def record_inference(layer, args, kwargs) -> Recording:
    """Returns what happens in a layer's call, whatever it does in training.

    Args:
        layer: Built layer.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.

    Raises:
        Closed: What the call does is not all in the record.
    """
    given = symbolic_in(args, kwargs)
    try:
        outputs = _call(layer, args, kwargs)
        recording = Recording(outputs, list(calls_in_order(outputs, {id(x) for x in given})))
        _check_complete(layer, recording)
        if not needs_sizes(recording.calls):
            return recording
        closed = None
    except Closed as error:
        closed = error
    try:
        return _sized(layer, args, kwargs, enters=False)
    except Closed as error:
        closed = closed or error
    try:
        return _sized(layer, args, kwargs, enters=True)
    except Closed as error:
        raise closed from error


def _sized(layer, args, kwargs, enters: bool) -> Recording:
    """Returns a recording with known sizes, see `record_sized`."""
    call, given = with_inputs(layer.call, args, kwargs), symbolic_in(args, kwargs)
    try:
        sized = record_sized(layer, call, given, calls_in_order, enters=enters)
    except NotRecordable as error:
        raise Closed(str(error)) from error
    recording = Recording(sized.outputs, sized.calls, True, sized.entered if enters else None)
    _check_complete(layer, recording)
    return recording


def _steps_of_training(layer, args, kwargs, recording: Recording):
    kwargs = {**kwargs, "training": True}
    if not recording.is_sized:
        outputs = _call(layer, args, kwargs)
        return steps(calls_in_order(outputs, {id(x) for x in symbolic_in(args, kwargs)}))
    try:
        return steps(_sized(layer, args, kwargs, recording.entered is not None).calls)
    except Closed as error:
        raise Closed(f"{error}, in training") from error


def symbolic_in(args, kwargs) -> list[keras.KerasTensor]:
    """Returns the symbolic tensors among call arguments, in order."""
    return [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]


def with_inputs(call, args, kwargs):
    """Returns a function of a list of tensors that makes a call with these in place of the symbolic ones.

    They are told apart by identity: not every backend walks through keywords in one order.
    """

    def function(tensors):
        fresh = dict(zip(map(id, symbolic_in(args, kwargs)), tensors, strict=True))
        new_args, new_kwargs = keras.tree.map_structure(lambda x: fresh.get(id(x), x), (args, kwargs))
        return call(*new_args, **new_kwargs)

    return function


def needs_sizes(calls) -> bool:
    """Tells whether a call has to be recorded with known sizes.

    A size that is not known yet has become a setting of an operation, as `None`; or several operations read a
    weight.
    """
    operations = [c.operation for c in calls if not isinstance(c.operation, keras.layers.Layer)]
    settings = (v for op in operations for key, v in vars(op).items() if not key.startswith("_"))
    leaves = [
        x for c in calls for x in keras.tree.flatten((tuple(c.arguments.args), dict(c.arguments.kwargs)))
    ]
    weights = [id(leaf) for leaf in leaves if isinstance(leaf, keras.Variable)]
    unknown = any(isinstance(value, list | tuple) and None in value for value in settings)
    return unknown or len(weights) != len(set(weights))


def record_constants(layer, args, kwargs):
    """Returns the symbolic outputs of a layer's call in inference, where all else that it reads is constant.

    Args:
        layer: Built layer.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.

    Raises:
        Closed: The call cannot be recorded, or reads a tensor that is none of its arguments.
    """
    given = {id(x) for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)}
    # What the call assigns must not reach the caller's layer, and losses are for training alone.
    with keras.StatelessScope(), losses_aside(layer):
        outputs = _outputs(layer, args, kwargs)
    for record in calls_in_order(outputs, given):
        _demand_arguments_only(record)
    return outputs


@contextmanager
def losses_aside(layer):
    """Has a layer or model collect the losses that its call adds; Keras takes no symbolic ones."""
    losses: list = []
    vars(layer)["add_loss"] = losses.append
    try:
        yield losses
    finally:
        del vars(layer)["add_loss"]


def _call(layer, args, kwargs):
    with keras.StatelessScope(collect_losses=True) as scope:
        outputs = _outputs(layer, args, kwargs)
    if scope.state_mapping or scope.losses:
        raise Closed("its call assigns variables or adds losses")
    return outputs


def _outputs(layer, args, kwargs):
    try:
        outputs = layer.call(*args, **kwargs)
    except Exception as error:
        words = shorten((str(error).splitlines() or [type(error).__name__])[0], 100, placeholder=" ...")
        raise Closed(f"its call cannot be recorded ({words})") from error
    if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(outputs)):
        raise Closed("it returns something other than tensors")
    return outputs


def _check_complete(layer, recording: Recording) -> None:
    """Raises where a weight does not appear in the record, so that it would be a constant."""
    own, seen = recording.owned_by(layer), set()
    for record in recording.calls:
        _demand_arguments_only(record)
        seen |= {id(v) for v in getattr(record.operation, "variables", ())}
        for leaf in keras.tree.flatten((tuple(record.arguments.args), dict(record.arguments.kwargs))):
            if isinstance(leaf, keras.Variable):
                if id(leaf) not in own:
                    raise Closed(f"it computes directly with the weight '{leaf.path}' of another layer")
                seen.add(id(leaf))
            elif _is_real(leaf):
                raise Closed("it computes with tensors that were made during the call")
    # Where weights are symbols no use of them is hidden.
    trainable = [] if recording.is_sized else layer.trainable_variables
    missing = [v.path for v in trainable if id(v) not in seen]
    if missing:
        raise Closed(f"its call reads the weight '{missing[0]}' in a way that leaves no record")


def _demand_arguments_only(record) -> None:
    if isinstance(record.operation, keras.layers.InputLayer):
        raise Closed("its call reads a tensor that is none of its arguments")


def _is_real(leaf) -> bool:
    """Tells whether a leaf is a tensor of the backend with real values, which may come from a weight."""
    if not keras.ops.is_tensor(leaf) or isinstance(leaf, keras.KerasTensor):
        return False
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype))


def own_variables(layer) -> dict[int, keras.Variable]:
    """Returns the variables of a layer that belong to none of the layers inside it, by identity."""
    inside = {id(v) for part in layers_of(layer, itself=False) for v in part.variables}
    return {id(v): v for v in layer.variables if id(v) not in inside}


def parameters(function):
    """Returns the parameters of a function by name."""
    return inspect.signature(function).parameters


def steps(calls) -> list:
    """Returns what happens in a recorded call, in order: layers by identity, operations by type."""
    made = (Constant, keras.layers.InputLayer)  # constants are wrapped anew in each recording
    return [
        id(c.operation)
        if isinstance(c.operation, keras.layers.Layer) and not isinstance(c.operation, made)
        else type(c.operation)
        for c in calls
    ]


def calls_in_order(outputs, known) -> Iterator:
    """Yields Keras's call records depth first, producers before consumers, without recursion.

    Args:
        outputs: Structure of symbolic tensors.
        known: Identities of the tensors to stop at.
    """
    seen: set[int] = set()
    stack = [(leaf, False) for leaf in reversed(keras.tree.flatten(outputs))]
    while stack:
        item, done = stack.pop()
        if done:
            yield item
            continue
        if id(item) in known:
            continue
        record = call_of(item)
        if id(record) in seen:
            continue
        seen.add(id(record))
        stack.append((record, True))
        stack.extend((t, False) for t in reversed(record.input_tensors))


def has_mask(tensor) -> bool:
    """Tells whether a symbolic tensor carries the mask of a sequence with it."""
    return mask_of(tensor) is not None
