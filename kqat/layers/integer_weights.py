"""The integer weights of a quantized layer, BatchNorm folded in."""

from operator import attrgetter

from keras import ops

from kqat.lowering.base import Weights
from kqat.lowering.fold import Norm, fold

BATCHNORM_LEVELS = 127.0


def real_weights(layer) -> dict[str, Weights]:
    """Returns the quantized weights of a layer whose arithmetic is float, by attribute.

    The scales keep the layout of their quantizer. Where calibration corrects the bias, it is among them.
    """
    found: dict = {}
    for name, quantizer in layer.weight_quantizers.items():
        weight = ops.convert_to_tensor(attrgetter(name)(layer.operation))
        found[name] = Weights(quantizer.to_levels(weight), quantizer.grid(weight).scale, None, quantizer.bits)
    return found if layer.mean_drift is None else {**found, "bias": layer.bias_tensor()}


def integer_weights(layer, input_scale, output_scale) -> Weights | None:
    """Returns what a kernel multiplies with; `None` for an operation without weights.

    Args:
        layer: The `Quantized` layer. A BatchNorm of its own is a product with ±127, one a channel.
        input_scale: Scale of the input grid.
        output_scale: Scale of the output grid.
    """
    normalization = layer.norm_layer()
    norm = None if normalization is None else Norm.of(normalization, *layer.drift_variables)
    if normalization is layer.operation:
        ones = ops.ones_like(norm.mean)
        unit, values = ones / BATCHNORM_LEVELS, ones * BATCHNORM_LEVELS
        return fold(values, unit, None, norm, input_scale, output_scale, 8, layer.storage)
    if not layer.weight_quantizers:
        return None
    ((name, quantizer),) = layer.weight_quantizers.items()
    weight = ops.convert_to_tensor(attrgetter(name)(layer.operation))
    values, scale = quantizer.to_levels(weight), quantizer.grid(weight).scale
    bias = layer.bias_tensor()
    return fold(values, scale, bias, norm, input_scale, output_scale, quantizer.bits, layer.storage)
