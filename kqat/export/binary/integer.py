"""Binary layers of models that `quantize` made: their sums are compared with, or scaled by, integers."""

import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.export.binary.epilogue import Comparison
from kqat.export.binary.operators import Bits, Filters, write_convolution
from kqat.export.binary.recognize import BinaryLayer, NotBinary, geometry
from kqat.layers.quantized import Quantized
from kqat.lowering.arithmetic.requantize import bounds
from kqat.lowering.base import Step
from kqat.lowering.treatment import treatment_for
from kqat.transforms.nodes import Graph, Node

_PADS = ("ZeroPadding1D", "ZeroPadding2D", "Pad")


def is_binary(op) -> bool:
    """Tells whether an operation is a layer of integers whose inputs and weights are signs."""
    if not isinstance(op, Quantized) or not op.is_integer:
        return False
    widths = [quantizer.bits for quantizer in op.weight_quantizers.values()]
    return widths == [1] and op.reads_signs


def integer_layer(node: Node, step: Step, graph: Graph) -> BinaryLayer:
    """Returns the binary convolution of a `Quantized` layer that multiplies signs with signs.

    Args:
        node: Its call.
        step: Its deployed form (NumPy).
        graph: The traced model.

    Raises:
        NotBinary: Larq Compute Engine cannot compute it.
    """
    padded = _padded(node, graph)
    if padded:
        raise NotBinary(f"its input is padded with 0 by '{padded}', and 0 is no sign; use padding='same'")
    signs = np.asarray(step.weights.values, np.float32)
    if np.any(np.abs(signs) != 1):
        raise NotBinary("its kernel has other values than signs")
    rank = len(graph.specs[node.inputs[0]].shape)
    return geometry(step.op, signs, np.ones(signs.shape[-1], np.float32), None, rank)


def _padded(node: Node, graph: Graph) -> str | None:
    """Returns the name of a padding between a layer and what made the signs that it reads."""
    made = {tensor: other for other in graph.nodes for tensor in other.outputs}
    waiting = list(node.inputs)
    while waiting:
        maker = made.get(waiting.pop())
        treatment = None if maker is None else treatment_for(maker.op)
        if treatment is None or treatment.kind != "passthrough":
            continue
        if type(maker.op).__name__ in _PADS:
            return maker.op.name
        waiting += maker.inputs
    return None


def compare_integers(layer: BinaryLayer, step: Step) -> Comparison:
    """Returns signs of `2 * sum + bias`, the sums of signs: codes of signs are -2 and 2."""
    bias = np.zeros(layer.channels) if step.weights.bias is None else np.float64(step.weights.bias)
    lowest = np.clip(np.ceil(-bias / 2), -layer.fan_in, layer.fan_in + 2).astype(np.float32)
    return Comparison(lowest, np.ones_like(lowest), np.zeros(layer.channels, bool))


def write_levels(writer, step: Step, layer: BinaryLayer, bits: Bits, name: str):
    """Writes a binary convolution whose result lies on the 8-bit grid of its step.

    Raises:
        UnsupportedError: The kernel cannot clamp at 6 inside of the grid.
    """
    _, top = (float(np.asarray(bound)) for bound in bounds(step.output, step.activation))
    if top < float(step.output.qmax):
        raise UnsupportedError(
            f"A binary convolution clamps at the ends of its grid only. Received: activation="
            f"{step.activation!r} and a range beyond 6. Use activation='relu', or calibrate again."
        )
    scale = np.float64(step.weights.scale)
    bias = np.zeros(layer.channels) if step.weights.bias is None else np.float64(step.weights.bias)
    real = bias * np.float64(step.inputs[0].scale) * scale
    constants = np.asarray(scale, np.float32), np.asarray(real, np.float32)
    filters = Filters(layer.signs, None, *constants)

    def emit(out):
        if layer.pads_zeros:  # its kernels have float32 as output only
            sums = lambda sides: writer.activation(f"{name}/real", (*sides, layer.channels))  # noqa: E731
            x = write_convolution(writer, bits, layer, filters, sums, name)
            writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")
        else:
            write_convolution(writer, bits, layer, filters, lambda sides: out, name)

    shape = (bits.ref.shape[0], *layer.sides(bits.ref.shape[1:3]), layer.channels)
    return writer.quantized_output(name, shape, step.output, "linear", emit)
