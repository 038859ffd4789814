"""How a `Quantized` layer is saved: its parts in Keras's form."""

import keras

from kqat import quantizers
from kqat.layers.template import template_from_config, template_to_config

_PARTS = ("operation", "batchnorm", "activation")


def saved_form(layer) -> dict:
    """Returns the configuration of the parts of a `Quantized` layer."""
    parts = {name: getattr(layer, name) for name in _PARTS}
    save = keras.saving.serialize_keras_object
    return {
        **{name: None if part is None else save(part) for name, part in parts.items()},
        "weight_quantizers": {k: quantizers.serialize(v) for k, v in layer.weight_quantizers.items()},
        "origin": layer.origin,
        "template": template_to_config(layer._placement.template),
        "activation_replaced": layer.activation_replaced,
    }


def loaded_form(config: dict) -> dict:
    """Returns the arguments of a `Quantized` layer for its configuration."""
    config = {**config, "template": template_from_config(config["template"])}
    for name in _PARTS:
        if isinstance(config[name], dict):
            config[name] = keras.saving.deserialize_keras_object(config[name])
    return config
