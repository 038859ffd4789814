"""How many bits the weights of a layer take."""

import math
from operator import attrgetter
from typing import Any

from kqat.layers.manual import ManualQuantization
from kqat.layers.quantized import Quantized

FLOAT_BITS = 32


def _quantizers(op) -> dict[str, Any]:
    """Returns the quantizer of each quantized weight of a layer, by attribute name."""
    return op.weight_quantizers if isinstance(op, Quantized | ManualQuantization) else {}


def weight_bits(op) -> int | None:
    """Returns the width of a layer's weights, `None` if it has none."""
    widths = [quantizer.bits for quantizer in _quantizers(op).values()]
    if widths:
        return max(widths)
    return FLOAT_BITS if getattr(op, "weights", None) and _own_weights(op) else None


def input_bits(op) -> int:
    """Returns the width onto which a layer itself rounds its input."""
    quantizer = getattr(op, "input_quantizer", None)
    return FLOAT_BITS if quantizer is None else quantizer.bits


def stored_weights(op):
    """Returns (bits, count) of the quantized weights, and (count, bytes each) of the others."""
    holder = op.operation if isinstance(op, Quantized) else op
    quantizers = _quantizers(op)
    special = {id(attrgetter(name)(holder)): quantizer.bits for name, quantizer in quantizers.items()}
    quantized, others = [], []
    for weight in _own_weights(op):
        count = math.prod(weight.shape)
        if id(weight) in special:
            quantized.append((special[id(weight)], count))
        else:
            others.append((count, _itemsize(weight)))
    return quantized, others


def _own_weights(op):
    """Returns the weights that the float form of a layer has."""
    if isinstance(op, Quantized):
        parts = [part for part in (op.operation, op.batchnorm, op.activation) if hasattr(part, "weights")]
        return [weight for part in parts for weight in part.weights]
    return op.float_weights() if isinstance(op, ManualQuantization) else getattr(op, "weights", [])


def _itemsize(weight) -> int:
    return {"float16": 2, "bfloat16": 2, "float64": 8, "int8": 1, "uint8": 1, "int64": 8}.get(weight.dtype, 4)
