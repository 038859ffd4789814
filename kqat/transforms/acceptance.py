"""Which models `quantize` takes: float32 weights that the layers compute with as they are."""

from collections.abc import Iterable

import keras

from kqat.core.errors import PlanError
from kqat.keras_private import layers_of


def check_float_weights(model: keras.Model) -> None:
    """Raises where Keras computes with something else than the weights that a layer shows.

    That is so after Keras's own `model.quantize`, with a quantized dtype policy, and where LoRA is enabled.

    Args:
        model: Any model; nested models and layers inside of layers are looked at too.
    """
    layers = layers_of(model)
    modes = {layer.path: mode for layer in layers if (mode := _mode(layer)) is not None}
    if modes:
        listed = ", ".join(f"{path} ({mode})" for path, mode in list(modes.items())[:5])
        raise PlanError(
            f"Model '{model.name}' is quantized by Keras already, and holds codes in place of weights. "
            f"Received: {listed}. Use the float model: build it anew, or load the file that was saved before "
            "model.quantize was called."
        )
    adapted = [layer.path for layer in layers if getattr(layer, "lora_enabled", False)]
    if adapted:
        raise PlanError(
            f"Model '{model.name}' has LoRA enabled: its layers add low-rank updates to their weights. "
            f"Received: {', '.join(adapted[:5])}. Merge them first: model.save_weights('merged.weights.h5') "
            "stores merged weights; build the model anew without LoRA, load_weights them, and quantize that."
        )


def _mode(layer) -> str | None:
    """Returns how Keras quantizes a layer, `"int8"` for example, or `None`."""
    policy = getattr(layer, "dtype_policy", None)
    return getattr(layer, "quantization_mode", None) or getattr(policy, "quantization_mode", None)


def check_variables(nodes: Iterable) -> None:
    """Raises where a layer stores its variables in anything but float32, as the quantizers need them.

    Args:
        nodes: Nodes of a traced model.
    """
    for node in nodes:
        for variable in getattr(node.op, "variables", ()):
            real = keras.backend.is_float_dtype(variable.dtype)
            if real and variable.trainable and variable.dtype != "float32":
                raise PlanError(
                    f"Layer '{node.path}' cannot be quantized: weights are quantized from float32. Received: "
                    f"{variable.name!r} of dtype {variable.dtype}. Use the dtype policy 'float32', or "
                    "'mixed_float16' or 'mixed_bfloat16' to compute in less."
                )
