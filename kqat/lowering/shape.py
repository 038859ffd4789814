"""Operations that only move values: the output has the grid and the codes of the input.

Forward: the operation itself, on real values.
"""

from keras import layers

from kqat.core.errors import UnsupportedError
from kqat.lowering.arguments import call, output_shape
from kqat.lowering.arithmetic.moves import like, write_slice
from kqat.lowering.arithmetic.rescale import before_rescale, require_no_activation, rescale, write_rescale
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import PASSTHROUGH, named


class PassThrough(Lowering):
    """Base of operations whose output values are input values."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        return rescale(call(step, inputs), step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        inner = before_rescale(inputs[0], step.output, name)
        y = self.write(writer, step, inputs[0], output_shape(step, inputs), inner)
        return y if step.output is None else write_rescale(writer, y, step.output, name)

    def write(self, writer, step, x, shape, name):
        """Appends the operator and returns its output of the given shape, on the grid of `x`."""
        raise NotImplementedError


def _same_type(op):
    """Returns how a conversion to a tensor is treated: what is one already stays as it is."""
    return PASSTHROUGH if op.dtype is None and not op.sparse and not op.ragged else None


@register("ops.ConvertToTensor", treatment=_same_type, storage=(8, 16))
@register(
    *named("Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise GaussianDropout"),
    *named("AlphaDropout ActivityRegularization Identity"),
    *("ops.Identity", "ops.Copy", "ops.StopGradient"),
    treatment=PASSTHROUGH,
    storage=(8, 16),
)
class Identity(PassThrough):
    """What does nothing at inference."""

    def forward(self, step, *inputs):
        require_no_activation(step)
        return rescale(inputs[0], step.inputs[0], step.output)

    def emit(self, writer, step, inputs, name):
        require_no_activation(step)
        return inputs[0] if step.output is None else write_rescale(writer, inputs[0], step.output, name)


@register(
    layers.Reshape,
    "ops.Reshape",
    "ops.Squeeze",
    "ops.ExpandDims",
    "ops.Ravel",
    treatment=PASSTHROUGH,
    storage=(8, 16),
)
class Reshape(PassThrough):
    """RESHAPE; the batch stays of any size."""

    def write(self, writer, step, x, shape, name):
        return writer.reshape(x, shape, name)


@register(layers.Flatten, treatment=PASSTHROUGH, storage=(8, 16))
class Flatten(Reshape):
    """RESHAPE to (batch, -1)."""

    def write(self, writer, step, x, shape, name):
        if step.op.data_format != "channels_last" and len(x.shape) > 3:
            raise UnsupportedError(
                f"{step.op.name!r} cannot be lowered. Received: data_format={step.op.data_format!r}. "
                "Use data_format='channels_last'."
            )
        return super().write(writer, step, x, shape, name)


@register(layers.RepeatVector, treatment=PASSTHROUGH, storage=(8, 16))
class RepeatVector(PassThrough):
    """RESHAPE to one row, then CONCATENATION of copies."""

    def write(self, writer, step, x, shape, name):
        row = writer.reshape(x, (shape[0], 1, shape[2]), f"{name}/row")
        out = like(writer, x, shape, name)
        writer.operator("CONCATENATION", [row] * shape[1], [out], "ConcatenationOptions", axis=1)
        return out


@register(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D, treatment=PASSTHROUGH, storage=(8, 16))
class Cropping(PassThrough):
    """STRIDED_SLICE of the spatial dimensions."""

    def write(self, writer, step, x, shape, name):
        if getattr(step.op, "data_format", None) == "channels_first":
            raise UnsupportedError(
                f"{step.op.name!r} cannot be lowered. Received: data_format='channels_first'. "
                "Use data_format='channels_last'."
            )
        crops = step.op.cropping
        pairs = [crops] if isinstance(step.op, layers.Cropping1D) else crops
        ranges = [range(low, size - high) for (low, high), size in zip(pairs, x.shape[1:-1], strict=True)]
        return write_slice(writer, x, [None, *ranges, None], name)


@register("ops.GetItem", treatment=PASSTHROUGH, storage=(8, 16))
class GetItem(PassThrough):
    """STRIDED_SLICE, and a RESHAPE where an index is a number or `None`."""

    def write(self, writer, step, x, shape, name):
        key = _subscript(step)
        ranges = _ranges(key, x.shape, step.op.name)
        cut = x
        if any(r is not None for r in ranges):
            cut = write_slice(writer, x, ranges, f"{name}/slice" if _changes_rank(key) else name)
        return cut if cut.shape == shape else writer.reshape(cut, shape, name)


def _subscript(step) -> tuple:
    """Returns the parts of a subscript; a saved tuple comes back as a list."""
    key = (*step.args[1:], *step.kwargs.values())[0]
    return tuple(key) if isinstance(key, list | tuple) else (key,)


def _changes_rank(key) -> bool:
    return any(part is None or isinstance(part, int) for part in key)


def _ranges(key, shape, name) -> list:
    """Returns the `range` that a subscript takes of each dimension, `None` for all of it."""
    count = sum(part is not None and part is not Ellipsis for part in key)
    if Ellipsis not in key:
        key = (*key, Ellipsis)
    ranges = []
    for part in key:
        if part is Ellipsis:
            ranges += [None] * (len(shape) - count)
        elif part is not None:
            ranges.append(_range(part, shape[len(ranges)], name))
    return ranges


def _range(part, size, name):
    if isinstance(part, slice) and (part.start or 0, part.stop, part.step or 1) == (0, None, 1):
        return None
    if size is None or not isinstance(part, (int, slice)):
        raise UnsupportedError(
            f"{name!r} cannot be lowered. Received: the subscript {part!r} on a dimension of size {size}. "
            "Use whole numbers and slices, and leave the batch whole."
        )
    if isinstance(part, int):
        return range(part % size, part % size + 1)
    return range(*part.indices(size))


@register("ops.Split", treatment=PASSTHROUGH, storage=(8, 16))
class Split(PassThrough):
    """One STRIDED_SLICE for each part."""

    def forward(self, step, *inputs):
        return [rescale(part, step.inputs[0], step.output) for part in call(step, inputs)]

    def emit(self, writer, step, inputs, name):
        (x,) = inputs
        axis = step.op.axis % len(x.shape)
        cuts = step.op.indices_or_sections
        if isinstance(cuts, int):
            cuts = range(0, x.shape[axis], x.shape[axis] // cuts)[1:]
        edges = [0, *(int(cut) for cut in cuts), x.shape[axis]]
        parts = []
        for number, (low, high) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            ranges = [range(low, high) if a == axis else None for a in range(len(x.shape))]
            part = write_slice(writer, x, ranges, f"{name}/{number}")
            parts.append(part if step.output is None else write_rescale(writer, part, step.output, name))
        return parts
