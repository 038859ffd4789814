"""Opens layers of the user's own: their call is recorded, and what happens in it joins the graph."""

import keras

from kqat.core.errors import TraceError
from kqat.layers.registry import treatment_for
from kqat.transforms.own_weights import own_variables
from kqat.transforms.record import calls_in_order, has_mask, parameters, record_call, steps


class Closed(Exception):
    """Why a layer is kept as it is."""


class DoesNothing(Closed):
    """The layer hands its input on in inference."""


def is_custom(op) -> bool:
    """Tells whether an operation is a layer that neither Keras nor kqat has and nobody registered."""
    if not isinstance(op, keras.layers.Layer) or isinstance(op, keras.Model):
        return False
    own = type(op).__module__.split(".")[0] == "kqat"
    return (
        not own
        and getattr(keras.layers, type(op).__name__, None) is not type(op)
        and treatment_for(op) is None
    )


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
            raise Closed("it is called with a mask")
        return inputs, record_layer(op, args, kwargs)
    outputs = record_call(op, args, kwargs)
    demand_complete(op, outputs, {id(leaf) for leaf in inputs})
    return inputs, outputs


def record_layer(layer, args, kwargs):
    """Returns the symbolic outputs of a layer's call.

    Args:
        layer: Built layer.
        args: Positional arguments, symbolic tensors in place of tensors.
        kwargs: Keyword arguments, the same.

    Raises:
        Closed: What the call does is not all in the record, or depends on `training`.
    """
    given = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
    own = own_variables(layer)
    if layer.compute_dtype != "float32":
        raise Closed(f"it computes in {layer.compute_dtype}")
    if any(getattr(v, "regularizer", None) or getattr(v, "constraint", None) for v in own.values()):
        raise Closed("its weights have a regularizer or a constraint")
    outputs = _call(layer, args, kwargs)
    if "training" in parameters(layer.call) and kwargs.get("training") is None:
        if len(given) == 1 and outputs is given[0] and not layer.weights:
            raise DoesNothing("it computes in training only")
        trained = _call(layer, args, {**kwargs, "training": True})
        if steps(outputs) != steps(trained):
            raise Closed("it computes something else in training")
    _check_complete(layer, outputs, {id(x) for x in given}, own)
    return outputs


def _call(layer, args, kwargs):
    try:
        with keras.StatelessScope(collect_losses=True) as scope:
            outputs = layer.call(*args, **kwargs)
    except Exception as error:
        raise Closed(f"its call cannot be recorded ({str(error).splitlines()[0][:100]})") from error
    if scope.state_mapping or scope.losses:
        raise Closed("its call assigns variables or adds losses")
    if not all(isinstance(leaf, keras.KerasTensor) for leaf in keras.tree.flatten(outputs)):
        raise Closed("it returns something other than tensors")
    return outputs


def _check_complete(layer, outputs, given: set[int], own) -> None:
    """Raises where a weight does not appear in the record, so that it would be a constant."""
    seen: set[int] = set()
    for record in calls_in_order(outputs, given):
        if isinstance(record.operation, keras.layers.InputLayer):
            raise Closed("its call reads a tensor that is none of its arguments")
        seen |= {id(v) for v in getattr(record.operation, "variables", ())}
        for leaf in keras.tree.flatten((tuple(record.arguments.args), dict(record.arguments.kwargs))):
            if isinstance(leaf, keras.Variable):
                if id(leaf) not in own:
                    raise Closed(f"it computes directly with the weight '{leaf.path}' of another layer")
                seen.add(id(leaf))
            elif _is_real(leaf):
                raise Closed("it computes with tensors that were made during the call")
    missing = [v.path for v in layer.trainable_variables if id(v) not in seen]
    if missing:
        raise Closed(f"its call reads the weight '{missing[0]}' in a way that leaves no record")


def _is_real(leaf) -> bool:
    """Tells whether a leaf is a tensor of the backend with real values, which may come from a weight."""
    if not keras.ops.is_tensor(leaf) or isinstance(leaf, keras.KerasTensor):
        return False
    return keras.backend.is_float_dtype(keras.backend.standardize_dtype(leaf.dtype))


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
