"""`TimeDistributed` around a layer that treats every place of its last axis alike: it is the layer itself."""

import keras

_LAYERS = (
    *(keras.layers.Dense, keras.layers.Activation, keras.layers.ReLU, keras.layers.LeakyReLU),
    *(keras.layers.Dropout, keras.layers.Identity),
)


def repeated(op: keras.Operation) -> keras.Operation:
    """Returns the layer inside of a `TimeDistributed` that adds nothing to it, else `op` itself."""
    inside = getattr(op, "layer", None)
    return inside if isinstance(op, keras.layers.TimeDistributed) and type(inside) in _LAYERS else op
