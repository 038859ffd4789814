"""Biases as a file stores them: whole multiples of the step of the sums that they are added to."""

from kqat.legacy.tfmot.input_range import InputRange
from kqat.tf_keras_private import inputs_of, maker_of
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
        step = _step_of_sums(self._wrapper)
        if step is None:
            return x
        safe = tf.where(step > 0, step, tf.ones_like(step))
        return x + tf.stop_gradient(tf.where(step > 0, tf.round(x / safe) * safe - x, tf.zeros_like(x)))

    def get_config(self):
        """Returns no arguments."""
        return {}


def _step_of_sums(wrapper):
    """Returns the step of the sums of a layer for each channel, or None."""
    found = [(w, q) for w, q, _ in wrapper._weight_vars if hasattr(q, "step")]
    before = _step_of(_maker(wrapper))
    if before is None or len(found) != 1:
        return None
    weight, quantizer = found[0]
    return before * quantizer.step(weight)


def _step_of(layer):
    """Returns the step of the grid that a layer's output is on, or None."""
    if isinstance(layer, InputRange):
        return _step(layer.range, layer.quantizer)
    config = getattr(layer, "quantize_config", None)
    if getattr(config, "fixed", None):
        low, high = config.fixed
        return tf.constant((high - low) / 255)
    if getattr(config, "output", False):
        return _step(layer._output_quantizer_vars, layer._output_quantizers[0])
    if getattr(config, "activations", ()):
        activation = layer._quantize_activations[0]
        ranges = getattr(activation, "_post_activation_vars", None)
        return None if ranges is None else _step(ranges, activation.quantizer)
    return _step_of(_maker(layer)) if _keeps_the_grid(layer) else None


def _keeps_the_grid(layer) -> bool:
    """Whether the values of a layer are on the grid of its one input."""
    return bool(getattr(getattr(layer, "quantize_config", None), "is_empty", False))


def _maker(layer):
    """Returns the layer that makes the one input of a layer in all of its calls, or None."""
    found = [node for node in inputs_of(layer) if not isinstance(node, list | tuple | dict)]
    # A model in progress knew its first layer by another one, which `repair.py` replaces.
    makers = {id(m): m for m in map(maker_of, found) if type(m).__name__ != "QuantizeLayer"}
    return next(iter(makers.values())) if len(makers) == 1 else None


def _step(ranges, quantizer):
    return (ranges["max"] - ranges["min"]) / (2**quantizer.bits - 1)
