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
        given = {key: value for key, value in kwargs.items() if key not in ("scale", "offset")}
        super().__init__(scale=1.0, **given)
