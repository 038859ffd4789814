"""A row for each function of `keras.activations`."""

import keras

from benchmarks.operations.row import IMAGE, Row

# What the module exports that is no activation.
TOOLS = ("deserialize", "get", "serialize")
NAMES = tuple(sorted(n for n in vars(keras.activations) if not n.startswith("_") and n not in TOOLS))
# Those that a layer `Activation` cannot hold: they need arguments, or return another shape.
_DIRECT: dict[str, dict] = {"threshold": {"threshold": 0.2, "default_value": -0.3}, "glu": {}}


def _row(name: str) -> Row:
    function, arguments = getattr(keras.activations, name), _DIRECT.get(name)
    if arguments is not None:
        return Row(lambda x: function(x, **arguments), (IMAGE,))
    return Row(lambda x: keras.layers.Activation(function)(x), (IMAGE,))


ACTIVATIONS = {f"activations.{name}": _row(name) for name in NAMES}
ACTIVATIONS |= {
    "activations.gelu, approximate": Row(lambda x: keras.activations.gelu(x, approximate=True), (IMAGE,)),
    "activations.softmax, axis=1": Row(lambda x: keras.activations.softmax(x, axis=1), (IMAGE,)),
    "activations.softmax, axis=(1, 2)": Row(lambda x: keras.activations.softmax(x, axis=(1, 2)), (IMAGE,)),
    "activations.log_softmax, axis=1": Row(lambda x: keras.activations.log_softmax(x, axis=1), (IMAGE,)),
    "activations.relu, all arguments": Row(
        lambda x: keras.activations.relu(x, negative_slope=0.1, max_value=1.0, threshold=0.1), (IMAGE,)
    ),
}
