"""PAD with real 0, which on an int8 tensor is the zero point, and MIRROR_PAD.

Forward: the operation itself, on real values.
"""

import keras
import numpy as np

from kqat.core.errors import UnsupportedError
from kqat.lowering.arithmetic.moves import like
from kqat.lowering.mirror_pad import MODES, write_mirrored
from kqat.lowering.registry import register
from kqat.lowering.shape import PassThrough
from kqat.lowering.treatment import PASSTHROUGH, named


@register(
    "ops.Pad", treatment=lambda op: PASSTHROUGH if op.mode in ("constant", *MODES) else None, storage=(8, 16)
)
@register(*named("ZeroPadding1D ZeroPadding2D ZeroPadding3D"), treatment=PASSTHROUGH, storage=(8, 16))
class Pad(PassThrough):
    """Padding of any dimension but the batch: with 0, or with what lies next to the border."""

    def missing(self, node, graph):
        value = node.kwargs.get("constant_values")
        return "no quantization of padding with other values than 0" if value else None

    def forward(self, step, *inputs):
        _widths(step, len(inputs[0].shape))
        return super().forward(step, *inputs)

    def write(self, writer, step, x, shape, name):
        pairs = _widths(step, len(x.shape))
        if getattr(step.op, "mode", "constant") != "constant":
            return write_mirrored(writer, x, pairs, shape, step.op.mode, name)
        return write_pad(writer, x, pairs, name)


def write_pad(writer, x, pairs, name):
    """Returns `x` with zeros around it; nothing is written where there are none.

    Args:
        writer: The file under construction.
        x: Reference of a tensor, on a grid or not.
        pairs: How many zeros go before and after, for each dimension.
        name: Name of the output.
    """
    pairs = np.asarray(pairs, np.int32)
    if not pairs.any():
        return x
    shape = [
        size if size is None else size + sum(pair) for size, pair in zip(x.shape, pairs.tolist(), strict=True)
    ]
    out = like(writer, x, shape, name)
    writer.operator("PAD", [x, writer.constant(f"{name}/widths", pairs)], [out], "PadOptions")
    return out


def _widths(step, rank: int) -> np.ndarray:
    """Returns the values added before and after each dimension, shape `(rank, 2)`."""
    op = step.op
    if isinstance(op, keras.layers.Layer):
        if getattr(op, "data_format", None) == "channels_first":
            raise UnsupportedError(
                f"{op.name!r} cannot be lowered. Received: data_format='channels_first'. "
                "Use data_format='channels_last'."
            )
        inner = [op.padding] if isinstance(op, keras.layers.ZeroPadding1D) else op.padding
        return np.array([(0, 0), *inner, (0, 0)], np.int32)
    value = step.kwargs.get("constant_values") or 0
    if value != 0 or op.mode not in ("constant", *MODES):
        raise UnsupportedError(
            f"{op.name!r} cannot be lowered. Received: mode={op.mode!r}, constant_values={value}. "
            f"Use mode='constant' and constant_values=0, or one of {(*MODES,)}."
        )
    return np.ascontiguousarray(np.broadcast_to(np.int32(op.pad_width), (rank, 2)))
