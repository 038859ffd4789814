"""Carries trained weights back into the user's model."""

import keras

from kqat.core.errors import PlanError
from kqat.core.exclusive import changes
from kqat.transforms.copying import copy_weights
from kqat.transforms.graph import trace
from kqat.transforms.strip import strip_fake_quant


@changes(1, "model")
def transfer_weights(quantized: keras.Model, model: keras.Model) -> keras.Model:
    """Assigns the trained float weights of a quantized model to the model that it was made from.

    Args:
        quantized: What `quantize(model)` returned, trained.
        model: The user's model: nested, subclassed, as it is. Its weights change, nothing else.

    Returns:
        `model`.

    Raises:
        PlanError: The two do not have the same layers; then no weight was changed.

    Threads: one at a time on one model; another thread that comes meanwhile gets a BusyError.
    """
    graph = trace(model)
    trained = {layer.name: layer for layer in strip_fake_quant(quantized).layers}
    pairs = {}
    for node in graph.nodes:
        if not isinstance(node.op, keras.layers.Layer) or not node.op.variables:
            continue
        source = trained.get(graph.names[node.path])
        if source is None or [v.shape for v in source.variables] != [v.shape for v in node.op.variables]:
            raise PlanError(
                f"The quantized model has no layer like '{node.path}'. Received: a model with the layers "
                f"{sorted(trained)[:8]}. Transfer into the model that was quantized."
            )
        pairs[id(node.op)] = (source, node.op)
    for source, target in pairs.values():
        copy_weights(source, target)
    return model
