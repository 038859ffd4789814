"""What is quantized of one layer, in the form in which tfmot asks for it."""

from kqat.legacy.tfmot.biases import BiasQuantizer
from kqat.legacy.tfmot.quantizers import FixedQuantizer, RangeQuantizer, WeightQuantizer
from kqat_runtime.optional import require

tf_keras = require("tf_keras", extra="tfmot")
tfmot = require("tensorflow_model_optimization", extra="tfmot")

# Convolutions keep a scale for each output channel; tfmot's own config keeps one for each index of the last
# axis, which of a depthwise kernel are its multipliers, mostly one.
KEPT = {"depthwise_kernel": 2, "kernel": 1}
ONE_SCALE = ("Dense", "Conv2DTranspose")


@tf_keras.saving.register_keras_serializable(package="kqat")
class Config(tfmot.quantization.keras.QuantizeConfig):
    """Quantizes weights, the activation function inside of the layer, and its output.

    Args:
        weights: Attributes of the weights.
        activations: Attributes of activation functions whose outputs are rounded.
        output: Whether to round the output to the range that was observed.
        bits: Widths of weights and of activations.
        bias: Whether to round the bias as a file does; models saved by version 0.1.0 do not.
        fixed: The range of the output that the runtime's kernel prescribes, if it does.
    """

    def __init__(self, weights=(), activations=(), output=False, bits=(8, 8), bias=False, fixed=None):
        self.weights, self.activations, self.output = list(weights), list(activations), bool(output)
        self.bits, self.bias = list(bits), bool(bias)
        self.fixed = fixed

    @property
    def is_empty(self) -> bool:
        """Whether it leaves everything as it is."""
        return not (self.weights or self.activations or self.output or self.fixed)

    def get_weights_and_quantizers(self, layer):
        """Returns pairs of a weight and its quantizer."""
        one = type(layer).__name__ in ONE_SCALE
        kept = [0 if one else KEPT.get(name, 1) for name in self.weights]
        pairs = zip(self.weights, kept, strict=True)
        weights = [(getattr(layer, name), WeightQuantizer(self.bits[0], axes)) for name, axes in pairs]
        return [*weights, (layer.bias, BiasQuantizer())] if self.bias else weights

    def get_activations_and_quantizers(self, layer):
        """Returns pairs of an activation function and its quantizer."""
        return [(getattr(layer, name), RangeQuantizer(self.bits[1])) for name in self.activations]

    def set_quantize_weights(self, layer, quantize_weights):
        """Has the layer compute with these weights."""
        names = [*self.weights, "bias"] if self.bias else self.weights
        for name, value in zip(names, quantize_weights, strict=True):
            setattr(layer, name, value)

    def set_quantize_activations(self, layer, quantize_activations):
        """Has the layer compute with these activation functions."""
        for name, value in zip(self.activations, quantize_activations, strict=True):
            setattr(layer, name, value)

    def get_output_quantizers(self, layer):
        """Returns the quantizer of the output, if it has one."""
        if self.fixed:
            return [FixedQuantizer(self.fixed)]
        return [RangeQuantizer(self.bits[1])] if self.output else []

    def get_config(self):
        """Returns the arguments."""
        parts = {"weights": self.weights, "activations": self.activations}
        parts |= {"output": self.output, "bits": self.bits}
        return {**parts, "bias": self.bias, "fixed": self.fixed}
