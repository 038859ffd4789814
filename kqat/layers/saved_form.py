"""How a `Quantized` layer is saved: its parts in Keras's form."""

import keras

from kqat import quantizers

_PARTS = ("operation", "batchnorm", "activation")


def saved_form(layer) -> dict:
    """Returns the configuration of the parts of a `Quantized` layer, but for its call template."""
    parts = {name: getattr(layer, name) for name in _PARTS}
    save = keras.saving.serialize_keras_object
    return {
        **{name: None if part is None else save(part) for name, part in parts.items()},
        "weight_quantizers": {k: quantizers.serialize(v) for k, v in layer.weight_quantizers.items()},
        "origin": layer.origin,
        "activation_replaced": layer.activation_replaced,
    }


def loaded_form(config: dict) -> dict:
    """Returns the arguments of a `Quantized` layer for its configuration, but for the call template."""
    config = {key: value for key, value in config.items() if key != "template"}
    for name in _PARTS:
        if isinstance(config[name], dict):
            config[name] = keras.saving.deserialize_keras_object(config[name])
    return config
