"""Runs a layer with other values in place of some of its weights."""

import keras


def call_with(function, layer, replacements, *args, **kwargs):
    """Returns `function(*args, **kwargs)` while weights of `layer` read as other values.

    The layer reads a replacement wherever its own code reads the variable, so one wrapper serves every
    layer type. Whatever the layer assigns (statistics, seeds) or adds to the loss is kept.

    Args:
        function: What to call: the layer, or a bound method of it.
        layer: The built layer that owns the weights.
        replacements: Pairs of a variable and the tensor to read in its place.
        *args: Arguments of the call.
        **kwargs: Keyword arguments of the call.
    """
    replaced = {id(variable) for variable, _ in replacements}
    # An enclosing scope (the JAX trainer's) is invisible from inside a new one: carry its values along.
    others = [(v, v.value) for v in layer.variables if id(v) not in replaced]
    with keras.StatelessScope(state_mapping=[*replacements, *others], collect_losses=True) as scope:
        output = function(*args, **kwargs)
    for loss in scope.losses:
        layer.add_loss(loss)
    for variable, before in others:
        after = scope.get_current_value(variable)
        if after is not None and after is not before:
            variable.assign(after)
    return output
