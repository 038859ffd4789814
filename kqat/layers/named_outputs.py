"""A functional model whose outputs have other names than the layers that make them."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="kqat")
class NamedOutputs(keras.Model):
    """A functional model that keeps the output names of the model that it was made from.

    Keras calls an output after the layer that makes it; in a quantized model that is a quantizer. Losses,
    metrics and sample weights by name, and the signature of a file, know the outputs by the names of the
    user's model.

    Args:
        inputs: As for `keras.Model`.
        outputs: As for `keras.Model`.
        name: As for `keras.Model`.
    """

    def __init__(self, *args, **kwargs):  # these very arguments tell every Keras how to rebuild it
        super().__init__(*args, **kwargs)

    def get_config(self):
        """Returns the configuration, names of the outputs included."""
        return {**super().get_config(), "output_names": list(self.output_names)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Returns the model that `get_config` described."""
        names = config.pop("output_names", None)
        model = super().from_config(config, custom_objects=custom_objects)
        if names is not None:
            model.output_names = list(names)
        return model


def functional_model(inputs: Any, outputs: Any, name: str, output_names: list[str] | None) -> keras.Model:
    """Returns a functional model with outputs of given names.

    Args:
        inputs: Structure of symbolic inputs.
        outputs: Structure of symbolic outputs.
        name: Name of the model.
        output_names: Name of each output, flat; `None` for those of the layers that make them.
    """
    model = keras.Model(inputs, outputs, name=name)
    if output_names is None or list(model.output_names) == output_names:
        return model
    model = NamedOutputs(inputs, outputs, name=name)
    model.output_names = list(output_names)
    return model
