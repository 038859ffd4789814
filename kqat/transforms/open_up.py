"""Opens custom layers: their call is recorded, and what happens in it joins the graph."""

import keras

from kqat.lowering.activations.names import ACTIVATED, is_custom_function
from kqat.lowering.decomposition import is_decomposed
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.recording.calls import Closed, Masked, has_mask, parameters, record_layer
from kqat.lowering.treatment import is_registered
from kqat.transforms.record import record_call


def is_custom(op) -> bool:
    """Tells whether an operation computes what a user wrote: a custom layer, a `Lambda`, a custom activation.

    Not where the class is registered.
    """
    if isinstance(op, keras.layers.Lambda):
        return True
    if isinstance(op, keras.layers.Activation):
        return is_custom_function(op.activation)
    return is_own_layer(op) and not is_registered(op)


def has_inside(op) -> bool:
    """Tells whether an operation is, or may be, replaced by what happens in its call."""
    return is_custom(op) or is_decomposed(op)


def activation_apart(op) -> keras.layers.Activation | None:
    """Returns the custom activation of a layer of Keras's as a layer, `None` where there is none."""
    if not isinstance(op, ACTIVATED) or is_own_layer(op) or not is_custom_function(op.activation):
        return None
    return keras.layers.Activation(
        op.activation, name=f"{op.name}_activation", dtype=op.dtype_policy,
        activity_regularizer=op.activity_regularizer,
    )  # fmt: skip


def why_whole(closed: Closed | None) -> str:
    """Returns why a custom layer is one piece.

    Args:
        closed: Why it was not opened; `None` for one that is registered.
    """
    return "registered" if closed is None else f"one piece: {closed}"


def record_inside(op, call, given, training: bool | None, enters: bool = False):
    """Returns fresh symbolic inputs of a subclassed model or layer, and the recording of its call.

    Args:
        op: The model or layer.
        call: Arguments `(args, kwargs)` that it was called with.
        given: The symbolic tensors among them.
        training: The `training` argument that it was called with.
        enters: Whether the calls of custom layers inside are entered, see `record_sized`.

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
        return inputs, record_layer(op, args, kwargs, enters)
    return inputs, record_call(op, args, kwargs)
