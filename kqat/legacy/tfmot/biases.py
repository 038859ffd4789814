"""Biases as a file stores them: whole multiples of the step of the sums that they are added to."""

from kqat.legacy.tfmot.kernels import steps_of_sums
from kqat_runtime.optional import require

tf = require("tensorflow", extra="tensorflow")
tf_keras = require("tf_keras", extra="tfmot")
tfmot = require("tensorflow_model_optimization", extra="tfmot")


@tf_keras.saving.register_keras_serializable(package="kqat")
class BiasQuantizer(tfmot.quantization.keras.quantizers.Quantizer):
    """Rounds a bias to the 32-bit integer that the runtime's kernel adds; gradients pass.

    The step of each channel is the product of the step of the input and that of the channel's weights:
    `b' = rint(b / (s_x * s_w)) * (s_x * s_w)`. Left out, a sum near the border of two levels of the output
    falls on the other one in the file. Where the input has no grid, or calls have several, the bias stays.
    """

    def build(self, tensor_shape, name, layer):
        """Returns no variables: both steps are known to others."""
        self._wrapper = layer
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        """Returns the rounded bias."""
        x = tf.convert_to_tensor(inputs)
        steps = steps_of_sums(self._wrapper)
        if steps is None:
            return x
        step = steps[0] * steps[1]
        safe = tf.where(step > 0, step, tf.ones_like(step))
        return x + tf.stop_gradient(tf.where(step > 0, tf.round(x / safe) * safe - x, tf.zeros_like(x)))

    def get_config(self):
        """Returns no arguments."""
        return {}
