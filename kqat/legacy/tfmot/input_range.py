"""The layer that rounds what comes into a model."""

from kqat.legacy.tfmot.quantizers import RangeQuantizer
from kqat_runtime.optional import require

tf_keras = require("tf_keras", extra="tfmot")


@tf_keras.saving.register_keras_serializable(package="kqat")
class InputRange(tf_keras.layers.Layer):
    """Rounds its input to the range that it has seen; in place of tfmot's `QuantizeLayer`.

    That one builds its variables twice when a `.keras` file is loaded, so that nothing fits.

    Args:
        bits: Width.
    """

    def __init__(self, bits: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.quantizer = RangeQuantizer(bits)

    def build(self, input_shape):
        """Creates the variables of the range."""
        self.range = self.quantizer.build(input_shape, "input", self)
        super().build(input_shape)

    def call(self, inputs, training=None):
        """Returns the rounded input; in training the range follows the batch first."""
        return self.quantizer(inputs, bool(training), self.range)

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "bits": self.quantizer.bits}
