"""Opens layers of the user's own: their call is recorded, and what happens in it joins the graph."""

import keras

from kqat.core.errors import TraceError
from kqat.layers.registry import is_registered
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.recording import (
    Closed,
    Masked,
    calls_in_order,
    has_mask,
    own_variables,
    parameters,
    record_layer,
)
from kqat.transforms.record import record_call


def is_custom(op) -> bool:
    """Tells whether an operation is a layer that a user wrote and nobody registered."""
    return is_own_layer(op) and not is_registered(op)


def why_whole(closed: Closed | None) -> str:
    """Returns why a custom layer is one piece.

    Args:
        closed: Why it was not opened; `None` for one that is registered.
    """
    return "registered" if closed is None else f"one piece: {closed}"


def record_inside(op, call, given, training: bool | None):
    """Returns fresh symbolic inputs of a subclassed model or layer, and what it makes of them.

    Args:
        op: The model or layer.
        call: Arguments `(args, kwargs)` that it was called with.
        given: The symbolic tensors among them.
        training: The `training` argument that it was called with.

    Raises:
        Closed: The layer is kept as it is.
        TraceError: The model cannot be recorded.
    """
    fresh = {id(leaf): keras.Input(batch_shape=leaf.shape, dtype=leaf.dtype) for leaf in given}
    inputs = [fresh[id(leaf)] for leaf in given]
    args, kwargs = keras.tree.map_structure(lambda leaf: fresh.get(id(leaf), leaf), call)
    if "training" in parameters(op.call):
        kwargs["training"] = training
    if not isinstance(op, keras.Model):
        if any(has_mask(leaf) for leaf in given):
            raise Masked("it is called with a mask")
        return inputs, record_layer(op, args, kwargs)
    outputs = record_call(op, args, kwargs)
    demand_complete(op, outputs, {id(leaf) for leaf in inputs})
    return inputs, outputs


def demand_complete(model, outputs, given: set[int]) -> None:
    """Raises a `TraceError` where a subclassed model computes with weights in a way that leaves no record."""
    own = own_variables(model)
    seen: set[int] = set()
    for record in calls_in_order(outputs, given):
        leaves = keras.tree.flatten((tuple(record.arguments.args), dict(record.arguments.kwargs)))
        seen |= {id(leaf) for leaf in leaves if isinstance(leaf, keras.Variable)}
    missing = [v.path for v in own.values() if v.trainable and id(v) not in seen]
    if missing:
        raise TraceError(
            f"Subclassed model '{model.name}' computes with weights outside of its layers in a way that "
            f"leaves no record. Received: {missing}. Hand the weight itself to one of keras.ops together "
            "with a tensor, or move it into a layer of its own."
        )
