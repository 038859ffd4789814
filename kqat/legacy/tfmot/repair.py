"""Puts right what keeps models of tfmot from being loaded again."""

from kqat.legacy.tfmot.input_range import InputRange
from kqat_runtime.optional import require

tf_keras = require("tf_keras", extra="tfmot")


def repaired(model, bits: int):
    """Returns a model whose `.keras` files can be loaded; all layers but the first are the same objects.

    A wrapper lists all weights of its layer as its own, and the quantized ones twice; a loaded one lists the
    quantized ones alone, and so does not take what was saved.

    Args:
        model: Model that tfmot quantized.
        bits: Width of the model's inputs.
    """

    def swap(layer):
        if type(layer).__name__ == "QuantizeLayer":
            return InputRange(bits, name=f"quant_{layer.name}")
        return layer

    result = tf_keras.models.clone_model(model, clone_function=swap)
    for layer in result.layers:
        if hasattr(layer, "_weight_vars"):
            layer._trainable_weights[:] = [weight for weight, *_ in layer._weight_vars]
    return result
