"""A tensor whose signs binary layers read, while others read its numbers."""

import keras


@keras.saving.register_keras_serializable(package="kqat")
class SignInput(keras.layers.Rescaling):
    """Hands its input on, to be rounded to signs by the quantizer behind it; `quantize` inserts it.

    Forward: `y = x`

    Args:
        **kwargs: `name`.
    """

    def __init__(self, **kwargs):
        kwargs.pop("scale", None), kwargs.pop("offset", None)
        super().__init__(scale=1.0, **kwargs)
