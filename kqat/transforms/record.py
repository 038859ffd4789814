"""Reads, and for subclassed models makes, Keras's own record of symbolic calls.

Only here, in `lowering.recording` and in `layers.binding` is that record (`_keras_history`,
`_inbound_nodes`) touched.
"""

from contextlib import contextmanager

import keras

from kqat.core.errors import TraceError
from kqat.lowering.recording import parameters, steps


@contextmanager
def restored(*operations):
    """Removes, at the end, every record that calls within the block left on operations and their parts."""
    layers = (op for op in operations if isinstance(op, keras.layers.Layer))
    parts = {
        id(op): op for op in (*operations, *(part for layer in layers for part in layer._flatten_layers()))
    }
    marks = [(op, len(op._inbound_nodes), len(op._outbound_nodes)) for op in parts.values()]
    try:
        yield
    finally:
        for op, inbound, outbound in marks:
            del op._inbound_nodes[inbound:]
            del op._outbound_nodes[outbound:]


def is_functional(model) -> bool:
    """Tells whether a model is a graph already: functional, or a Sequential that knows its input."""
    return getattr(model, "inputs", None) is not None and getattr(model, "outputs", None) is not None


def ends(model):
    """Returns the structures of symbolic inputs and outputs of a functional or Sequential model."""
    if isinstance(model, keras.Sequential):
        return model.inputs[0], model.outputs[0]
    return model.input, model.output


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


def record_call(model, args, kwargs):
    """Returns the symbolic outputs of a subclassed model's `call`.

    Args:
        model: Built subclassed model.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.

    Raises:
        TraceError: `call` does something that leaves no record, or something else in training.
    """
    if "training" not in parameters(model.call) or kwargs.get("training") is not None:
        return _call(model, args, kwargs)
    outputs = _call(model, args, {**kwargs, "training": None})
    if steps(outputs) != steps(_call(model, args, {**kwargs, "training": True})):
        raise TraceError(
            f"The call of '{model.name}' takes other layers in training than in inference. Received: Python "
            "control flow on `training`. Call every layer always, and hand `training=training` to it."
        )
    return outputs


def _call(model, args, kwargs):
    try:
        with keras.StatelessScope():  # what call assigns must not reach the caller's model
            outputs = model.call(*args, **kwargs)
    except TraceError:
        raise
    except Exception as error:
        raise TraceError(
            f"The call of subclassed model '{model.name}' cannot be recorded: {error}. "
            "Received: Python control flow or non-Keras functions on tensors. "
            "Use keras.ops and layers in call, or quantize the parts of the model that allow it."
        ) from error
    if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(outputs)):
        raise TraceError(
            f"Model '{model.name}' returns something other than tensors. Received: {outputs!r}. "
            "Return tensors, or lists or dicts of tensors."
        )
    return outputs
