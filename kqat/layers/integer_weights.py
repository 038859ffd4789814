"""The integer weights of a quantized layer, BatchNorm folded in."""

from operator import attrgetter

from keras import ops

from kqat.lowering.arithmetic.fold import Norm, fold
from kqat.lowering.arithmetic.signs import fold_signs
from kqat.lowering.base import Weights
from kqat.lowering.channelwise import affine_form

PRODUCT_LEVELS = 127.0


def real_weights(layer) -> dict[str, Weights]:
    """Returns the quantized weights of a layer whose arithmetic is float, by attribute.

    The scales keep the layout of their quantizer. Where calibration corrects the bias, it is among them.
    """
    found: dict = {}
    for name, quantizer in layer.weight_quantizers.items():
        weight = ops.convert_to_tensor(attrgetter(name)(layer.operation))
        values, scale = quantizer.levels_and_scale(weight)
        found[name] = Weights(values, scale, None, quantizer.bits)
    return found if layer.mean_drift is None else {**found, "bias": layer.bias_tensor()}


def integer_weights(layer, input_scale, output_scale) -> Weights | None:
    """Returns what a kernel multiplies with; `None` for an operation without weights.

    Args:
        layer: The `Quantized` layer. One that multiplies and adds per channel is a product with ±127.
        input_scale: Scale of the input grid.
        output_scale: Scale of the output grid.
    """
    own = affine_form(layer.operation, *layer.drift_variables)
    if own is not None:
        ones = ops.ones_like(own.mean)
        if layer.makes_signs:  # products of 2 and a level are even, as the file wants them
            return fold_signs(ones * 2.0, ones * 0.5, None, own, input_scale, 8)
        unit, values = ones / PRODUCT_LEVELS, ones * PRODUCT_LEVELS
        return fold(values, unit, None, own, input_scale, output_scale, 8, layer.storage)
    if not layer.weight_quantizers:
        return None
    norm = None if layer.batchnorm is None else Norm.of(layer.batchnorm, *layer.drift_variables)
    ((name, quantizer),) = layer.weight_quantizers.items()
    weight = ops.convert_to_tensor(attrgetter(name)(layer.operation))
    values, scale = quantizer.levels_and_scale(weight)
    bias = layer.bias_tensor()
    if layer.makes_signs:
        return fold_signs(values, scale, bias, norm, input_scale, quantizer.bits)
    return fold(values, scale, bias, norm, input_scale, output_scale, quantizer.bits, layer.storage)
