"""Layers that become a chain: a separable convolution, a layer with an activation that no kernel fuses."""

import keras

from kqat.lowering.activations.names import ACTIVATED, activation_name
from kqat.transforms.copying import linear_copy
from kqat.transforms.nodes import Graph, Node
from kqat.transforms.repeated import repeated
from kqat.transforms.splitting.separable import SEPARABLE, separated, separated_weights
from kqat.transforms.splitting.wiring import Assembly, Part, Wiring

FUSED_ACTIVATIONS = ("linear", "relu", "relu6")


def chain(node: Node, graph: Graph) -> Assembly | None:
    """Returns the chain that a layer becomes, `None` where it is one operation.

    `TimeDistributed(Dense)` is a chain of one layer, the `Dense`.
    """
    op = repeated(node.op)
    layers = separated(op) if isinstance(op, SEPARABLE) else {"": op}
    if isinstance(op, ACTIVATED) and activation_name(op.activation) not in FUSED_ACTIVATIONS:
        layers[""] = linear_copy(layers[""])
        layers["_activation"] = keras.layers.Activation(
            op.activation, dtype=op.dtype_policy, activity_regularizer=op.activity_regularizer
        )
    if len(layers) == 1 and op is node.op:
        return None
    prefix = "" if op is node.op else "layer."
    parts = {suffix: Part(part, _weights(part, op, prefix)) for suffix, part in layers.items()}
    return Assembly(parts, _connect)


def _connect(wiring: Wiring) -> None:
    node = wiring.node
    args, kwargs = node.args, node.kwargs
    if repeated(node.op) is not node.op:
        kwargs = {
            key: value for key, value in kwargs.items() if key != "mask"
        }  # every place is computed alike
    for suffix in wiring.assembly.parts:
        args, kwargs = (wiring.call(suffix, *args, **kwargs),), {}


def _weights(part, op, prefix: str) -> dict[str, str]:
    named = separated_weights(part) if isinstance(op, SEPARABLE) else {v.name: v.name for v in part.variables}
    return {prefix + theirs: ours for theirs, ours in named.items()}
