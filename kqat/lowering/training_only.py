"""A custom layer that hands its input on in inference, such as stochastic depth."""

import keras

from kqat.lowering.registry import register
from kqat.lowering.shape import Identity
from kqat.lowering.treatment import PASSTHROUGH


@keras.saving.register_keras_serializable(package="kqat")
class TrainingOnly(keras.layers.Layer):
    """Runs a layer in training and hands the input on in inference.

    Args:
        layer: The layer.
    """

    def __init__(self, layer, **kwargs):
        kwargs.setdefault("name", layer.name)
        super().__init__(**kwargs)
        self.layer = layer
        self.supports_masking = layer.supports_masking

    def build(self, input_shape):
        """Builds the layer."""
        if not self.layer.built:
            self.layer.build(input_shape)
        self.built = True

    def call(self, inputs, training=False):
        """Returns the input; in training what the layer makes of it."""
        return self.layer(inputs, training=True) if training else inputs

    def compute_output_spec(self, inputs, training=False):
        """Returns the shape and dtype of the input."""
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def to_float_layer(self):
        """Returns a copy of the layer."""
        return type(self.layer).from_config(self.layer.get_config())

    def get_config(self):
        """Returns the configuration, layer included."""
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @classmethod
    def from_config(cls, config):
        """Returns the layer that `get_config` described."""
        layer = config["layer"]
        if isinstance(layer, dict):
            layer = keras.saving.deserialize_keras_object(layer)
        return cls(**{**config, "layer": layer})


register(TrainingOnly, treatment=PASSTHROUGH)(Identity)
