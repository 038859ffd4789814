"""Reads, and for subclassed models makes, Keras's own record of symbolic calls."""

from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import takewhile

import keras

from kqat.core.errors import TraceError
from kqat.keras_private import Calls, maker_of
from kqat.lowering.inherited import is_users
from kqat.lowering.recording.calls import (
    Recording,
    calls_in_order,
    losses_aside,
    needs_sizes,
    own_variables,
    parameters,
    steps,
    symbolic_in,
    with_inputs,
)
from kqat.lowering.recording.sized import NotRecordable, record_sized


@contextmanager
def restored(*operations):
    """Removes, at the end, every record that calls within the block left on operations and their parts."""
    calls = Calls(operations)
    try:
        yield
    finally:
        calls.restore()


def is_functional(model) -> bool:
    """Tells whether a model is a graph already: functional, or a Sequential that knows its input.

    One whose class has a `call` of its own computes more than its graph says, and is recorded like any other.
    """
    return _has_ends(model) and not _has_own_call(model)


def _has_ends(model) -> bool:
    return getattr(model, "inputs", None) is not None and getattr(model, "outputs", None) is not None


def _has_own_call(model) -> bool:
    before = takewhile(is_users, type(model).__mro__)
    return "call" in vars(model) or any("call" in vars(cls) for cls in before)


def ends(model):
    """Returns the structures of symbolic inputs and outputs of a functional or Sequential model."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


def output_names(model) -> list[str]:
    """Returns the names of the outputs of a functional or Sequential model, flat."""
    names = getattr(model, "output_names", None)
    made_by = (maker_of(leaf).name for leaf in keras.tree.flatten(ends(model)[1]))
    return list(names) if names else list(made_by)


def example_arguments(model, taken) -> dict:
    """Returns one structure of `keras.Input` for each tensor argument that a model was built on.

    Args:
        model: Built subclassed model.
        taken: Names that an input must not have.
    """
    if not model.built:
        raise TraceError(
            f"Model '{model.name}' has no weights yet, so there is nothing to quantize. "
            "Received: an unbuilt model. Call it once on a batch, or model.build(input_shape)."
        )
    if _has_ends(model):
        first = next(iter(parameters(model.call)))
        return {first: keras.tree.map_structure(_input_like, ends(model)[0])}
    config = model.get_build_config() or {}
    required = [
        p.name for p in parameters(model.call).values() if p.default is p.empty and p.kind < p.VAR_POSITIONAL
    ]
    shapes = config.get("shapes_dict")
    if shapes is None:
        shapes = {f"{required[0] if required else 'inputs'}_shape": config.get("input_shape")}
    if not shapes or any(shape is None for shape in shapes.values()):
        raise TraceError(
            f"The input shape of model '{model.name}' is not known, so its call cannot be recorded. "
            "Received: a subclassed model that was never called, or whose call has Python control flow on "
            "tensor values. Call it once on a batch; in call, use keras.ops and layers only."
        )
    shapes = {key.removesuffix("_shape"): shape for key, shape in shapes.items()}
    missing = [name for name in required if name not in shapes]
    if missing:
        raise TraceError(
            f"Keras does not record the shapes of all arguments of '{model.name}'. Received: a model "
            f"whose call takes {required}. Wrap it, keras.Model(inputs, model(*inputs)), and quantize that."
        )
    return {name: _inputs_like(shape, name, taken) for name, shape in shapes.items()}


def _inputs_like(shape, name, taken):
    if isinstance(shape, dict):
        return {key: _inputs_like(value, str(key), taken) for key, value in shape.items()}
    if shape and isinstance(shape[0], list | tuple):
        return [_inputs_like(value, f"{name}_{i}", taken) for i, value in enumerate(shape)]
    return keras.Input(tuple(shape)[1:], name=f"{name}_input" if name in taken else name)


def _input_like(tensor):
    name = maker_of(tensor).name
    return keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=name)


def record_call(model, args, kwargs) -> Recording:
    """Returns what happens in a subclassed model's `call`.

    Args:
        model: Built subclassed model.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.

    Raises:
        TraceError: `call` does something that leaves no record, or something else in training.
    """
    if "training" not in parameters(model.call) or kwargs.get("training") is not None:
        return _recorded(model, args, kwargs)
    recording = _recorded(model, args, {**kwargs, "training": None})
    training = _recorded(model, args, {**kwargs, "training": True})
    if steps(recording.calls) != steps(training.calls) and not _is_same_entered(model, args, kwargs):
        raise TraceError(
            f"The call of '{model.name}' takes other layers in training than in inference. Received: Python "
            "control flow on `training`. Call every layer always, and hand `training=training` to it."
        )
    return replace(recording, adds_losses=recording.adds_losses or training.adds_losses)


def _is_same_entered(model, args, kwargs) -> bool:
    """Tells whether training takes the same layers, where in one mode custom layers had to be entered."""
    modes = [{**kwargs, "training": training} for training in (None, True)]
    try:
        with losses_aside(model):
            inference, training = (_sized(model, args, mode, enters=True) for mode in modes)
    except NotRecordable:
        return False
    return steps(inference.calls) == steps(training.calls)


def _recorded(model, args, kwargs) -> Recording:
    with losses_aside(model) as losses:
        recording = _recorded_without_losses(model, args, kwargs)
    return replace(recording, adds_losses=bool(losses))


def _recorded_without_losses(model, args, kwargs) -> Recording:
    given = symbolic_in(args, kwargs)
    try:
        outputs = _call(model, args, kwargs)
        calls = list(calls_in_order(outputs, {id(x) for x in given}))
        _demand_complete(model, calls)
        if not needs_sizes(calls):
            return Recording(outputs, calls)
        failed = None
    except TraceError as error:
        failed = error
    try:
        return _sized(model, args, kwargs, enters=False)
    except NotRecordable as error:
        with suppress(NotRecordable):
            return _sized(model, args, kwargs, enters=True)
        raise failed or _not_recordable(model, error) from error


def _sized(model, args, kwargs, enters: bool) -> Recording:
    """Returns a recording with known sizes; where `enters`, of what happens in custom layers inside."""
    call, given = with_inputs(model.call, args, kwargs), symbolic_in(args, kwargs)
    sized = record_sized(model, call, given, calls_in_order, keeps_state=True, enters=enters)
    _demand_complete(model, sized.calls)
    outputs = sized.outputs
    if enters:  # it has them flat
        outputs = outputs[0] if len(outputs) == 1 else outputs
    return Recording(outputs, sized.calls, True, sized.entered if enters else None)


def _call(model, args, kwargs):
    try:
        with keras.StatelessScope():  # what call assigns must not reach the caller's model
            outputs = model.call(*args, **kwargs)
    except TraceError:
        raise
    except Exception as error:
        raise _not_recordable(model, error) from error
    if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(outputs)):
        raise TraceError(
            f"Model '{model.name}' returns something other than tensors. Received: {outputs!r}. "
            "Return tensors, or lists or dicts of tensors."
        )
    return outputs


def _not_recordable(model, error) -> TraceError:
    return TraceError(
        f"The call of subclassed model '{model.name}' cannot be recorded: {error}. "
        "Received: Python control flow or non-Keras functions on tensors. "
        "Use keras.ops and layers in call, or quantize the parts of the model that allow it."
    )


def _demand_complete(model, calls) -> None:
    """Raises a `TraceError` where a subclassed model computes with weights in a way that leaves no record."""
    own = own_variables(model)
    seen: set[int] = set()
    for record in calls:
        leaves = keras.tree.flatten((tuple(record.arguments.args), dict(record.arguments.kwargs)))
        seen |= {id(leaf) for leaf in leaves if isinstance(leaf, keras.Variable)}
    missing = [v.path for v in own.values() if v.trainable and id(v) not in seen]
    if missing:
        raise TraceError(
            f"Subclassed model '{model.name}' computes with weights outside of its layers in a way that "
            f"leaves no record. Received: {missing}. Hand the weight itself to one of keras.ops together "
            "with a tensor, or move it into a layer of its own."
        )
