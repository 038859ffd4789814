"""The probabilities of attention: a softmax of scaled scores, of which a mask leaves some out.

Without a mask the runtime's SOFTMAX computes them; the factor of the scores is its `beta` and costs nothing.
The scores that a mask leaves out would have to lie far below all others, which no 8-bit grid has room for.
With a mask the probabilities are therefore computed from whole numbers, a probability that is left out being
exactly 0. With levels `l`, `n` scores in a row and `k = min(16, 24 - ceil(log2(n)))`:

    d = max(l kept) - l
    e = rint(exp(-(scale * factor) * d) * 2^k),  0 where the mask leaves a score out
    p = e * (1 / sum(e))

The sum stays below 2^24 and is exact in every order; the quotient is rounded as IEEE 754 says.
"""

import math

import keras
import numpy as np
from keras import ops

from kqat.lowering.activations.exponential import exp
from kqat.lowering.activations.softmax import PROBABILITY, Softmax
from kqat.lowering.activations.table import take
from kqat.lowering.arithmetic.border import write_quantize
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import rescale, same_grid, to_real, write_rescale
from kqat.lowering.base import Lowering
from kqat.lowering.registry import register
from kqat.lowering.treatment import SIGMOID_RANGE, Treatment
from kqat.ops.arrays import as_numpy
from kqat.ops.reciprocal import reciprocal
from kqat.program.program import BORDER, FLOAT

ROLES = ("query", "key", "attention")
_FAR = 1024.0  # below every level by more than a grid has
_LEVELS = 256
_LEFT_OUT = -1e9


@keras.saving.register_keras_serializable(package="kqat")
class Probabilities(keras.layers.Layer):
    """Softmax over the last axis of scores, `(batch, heads..., queries, keys)`.

    Forward: `y = softmax(factor * scores)` over the scores that every mask keeps

    Args:
        factor: What to multiply the scores with.
        causal: Whether query `i` sees the keys up to `i` only.
        window: Query `i` sees the keys less than `window` away only; `None` for all.
        constant: Nested list of booleans that broadcasts against the last two dimensions, or `None`.
        masks: What each further input masks, of `"query"` (a mask of shape `(batch, queries)`), `"key"`
            (`(batch, keys)`) and `"attention"` (`(batch, queries, keys)`, or with the heads in between).
        empty: Whether a row without any key gets zeros; by default all keys are then alike.
    """

    def __init__(self, factor, causal=False, window=None, constant=None, masks=(), empty=False, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.causal, self.window, self.constant = factor, causal, window, constant
        self.masks, self.empty = tuple(masks), empty
        self.supports_masking = True

    def call(self, inputs):
        """Returns the probabilities of scores, or of a list of scores and masks."""
        scores, *masks = inputs if isinstance(inputs, list | tuple) else [inputs]
        scores = ops.multiply(scores, self.factor)
        kept = self.kept(scores.shape, masks)
        if kept is None:
            return keras.activations.softmax(scores)
        kept = ops.cast(kept, scores.dtype)
        low = -3e4 if scores.dtype == "float16" else _LEFT_OUT
        y = keras.activations.softmax(
            ops.add(ops.multiply(scores, kept), ops.multiply(ops.subtract(1.0, kept), low))
        )
        return ops.multiply(y, kept) if self.empty else y

    def fixed(self, shape) -> np.ndarray | None:
        """Returns the constant part of the mask for scores of `shape`: 1 where a score is kept."""
        if not (self.causal or self.window or self.constant is not None):
            return None
        rows, columns = np.arange(shape[-2])[:, None], np.arange(shape[-1])[None, :]
        kept = np.ones((shape[-2], shape[-1]), bool)
        if self.causal:
            kept &= rows >= columns
        if self.window:
            kept &= np.abs(rows - columns) < self.window
        if self.constant is not None:
            kept &= np.asarray(self.constant, bool)
        return kept.astype(np.float32)

    def kept(self, shape, masks):
        """Returns 1 where a score is kept and 0 elsewhere, or `None` without any mask."""
        parts = [] if self.fixed(shape) is None else [self.fixed(shape)]
        for role, mask in zip(self.masks, masks, strict=True):
            mask = ops.cast(ops.not_equal(mask, ops.zeros_like(mask)), "float32")
            parts.append(ops.reshape(mask, [-1, *mask_shape(role, mask.shape, len(shape))[1:]]))
        if not parts:
            return None
        total = parts[0]
        for part in parts[1:]:
            total = ops.multiply(total, part)
        return total

    def compute_output_spec(self, inputs):
        """Returns a spec like that of the scores."""
        scores = inputs[0] if isinstance(inputs, list | tuple) else inputs
        return keras.KerasTensor(scores.shape, dtype=self.compute_dtype)

    def compute_mask(self, inputs, previous_mask):
        """Returns `None`: the masks end here."""
        return None

    def get_config(self):
        names = ("factor", "causal", "window", "constant", "masks", "empty")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def mask_shape(role: str, shape, rank: int) -> tuple:
    """Returns a mask's shape with dimensions of size 1 where scores of `rank` dimensions have more."""
    ones = (1,) * (rank - 1 - len(shape))
    return {
        "query": (shape[0], *ones, *shape[1:], 1),
        "key": (shape[0], *ones, 1, *shape[1:]),
        "attention": (shape[0], 1, *ones, *shape[1:]) if rank > len(shape) else tuple(shape),
    }[role]


@register(Probabilities, treatment=Treatment("arithmetic", nonnegative=True, fixed=SIGMOID_RANGE))
class AttentionSoftmax(Lowering):
    """Written as SOFTMAX; under a mask as a table of exponentials, a sum and a quotient."""

    def forward(self, step, *inputs):
        scores, *masks = inputs
        (source, *_), factor = step.inputs, np.float32(step.op.factor)
        kept = step.op.kept(scores.shape, masks)
        if kept is None:
            return Softmax(beta=factor).forward(scores, source, step.output)
        levels = to_levels(scores, source)
        levels = ops.add(ops.multiply(levels, kept), ops.multiply(ops.subtract(kept, 1.0), _FAR))
        top = ops.max(levels, axis=-1, keepdims=True)
        top = ops.maximum(top, -_FAR / 2) if step.op.empty else top
        below = ops.minimum(ops.subtract(top, levels), float(_LEVELS))
        e = take(_table(source, factor, scores.shape[-1]), below)
        total = ops.maximum(ops.sum(e, axis=-1, keepdims=True), 1.0)
        share = to_levels(ops.multiply(e, reciprocal(total)), PROBABILITY)
        return rescale(to_real(share, PROBABILITY), PROBABILITY, step.output)

    def emit(self, writer, step, inputs, name):
        (scores, *masks), op = inputs, step.op
        with writer.owned(FLOAT):
            kept = _written_mask(writer, op, scores.shape, masks, f"{name}/kept")
        if step.output is None:
            with writer.owned(FLOAT):
                return _write_float(writer, op, scores, kept, name)
        if kept is None:
            return Softmax(beta=np.float32(op.factor)).write(writer, scores, step.output, name)
        with writer.owned(FLOAT):
            share = _Shares(writer, scores.shape, name).write(scores, kept, op)
        fixed = same_grid(step.output, PROBABILITY)
        with writer.owned(BORDER):
            y = write_quantize(writer, share, PROBABILITY, name if fixed else f"{name}/probability")
        return y if fixed else write_rescale(writer, y, step.output, name)


def _table(source, factor, count: int):
    """Returns the whole number of each distance from the top, and 0 for what is left out."""
    unit = 2.0 ** min(16, 24 - math.ceil(math.log2(max(count, 2))))
    step = ops.negative(ops.multiply(source.scale, factor))
    values = exp(ops.multiply(ops.arange(_LEVELS, dtype="float32"), step))
    return ops.concatenate([ops.round(ops.multiply(values, unit)), ops.zeros((1,))])


class _Shares:
    """Writes the operators of a masked softmax.

    Args:
        writer: The file under construction.
        shape: Shape of the scores.
        name: Prefix of the tensors' names.
    """

    def __init__(self, writer, shape, name):
        self.writer, self.shape, self.name = writer, shape, name

    def write(self, scores, kept, op):
        """Returns the real probabilities of int8 scores."""
        levels = self._cast(scores, "float32", "codes")
        offset = self._add("MUL", self._add("SUB", kept, 1.0, "gone"), _FAR, "offset")
        levels = self._add("ADD", self._add("MUL", levels, kept, "kept_codes"), offset, "masked")
        top = self._reduce("REDUCE_MAX", levels, "top")
        top = self._add("MAXIMUM", top, -_FAR / 2, "some_top") if op.empty else top
        below = self._add("MINIMUM", self._add("SUB", top, levels, "below"), float(_LEVELS), "place")
        e = self._gather(self._cast(below, "int32", "index"), scores.grid, op)
        total = self._add("MAXIMUM", self._reduce("SUM", e, "sum"), 1.0, "total")
        share = self._add("DIV", np.float32(1.0), total, "share")
        return self._add("MUL", e, share, "shares")

    def _new(self, label, shape, dtype="float32"):
        return self.writer.activation(f"{self.name}/{label}", shape, dtype=dtype)

    def _number(self, value, label):
        if isinstance(value, float | np.floating):
            return self.writer.constant(f"{self.name}/{label}/number", np.float32(value))
        return value

    def _add(self, kind, a, b, label):
        a, b = self._number(a, label), self._number(b, label)
        out = self._new(label, _wider(a.shape, b.shape))
        extremum = kind in ("MAXIMUM", "MINIMUM")
        options = "MaximumMinimumOptions" if extremum else f"{kind.capitalize()}Options"
        self.writer.operator(kind, [a, b], [out], options)
        return out

    def _reduce(self, kind, x, label):
        out = self._new(label, (*x.shape[:-1], 1))
        axes = self.writer.constant(f"{self.name}/{label}/axis", np.array([len(x.shape) - 1], np.int32))
        self.writer.operator(kind, [x, axes], [out], "ReducerOptions", keepDims=True)
        return out

    def _cast(self, x, dtype, label):
        out = self._new(label, x.shape, dtype)
        kinds = {"inDataType": x.dtype.upper(), "outDataType": dtype.upper()}
        self.writer.operator("CAST", [x], [out], "CastOptions", **kinds)
        return out

    def _gather(self, index, grid, op):
        table = as_numpy(_table(grid, np.float32(op.factor), self.shape[-1]))
        constant = self.writer.constant(f"{self.name}/exponentials", table.astype(np.float32))
        out = self._new("exponential", self.shape)
        self.writer.operator("GATHER", [constant, index], [out], "GatherOptions", axis=0)
        return out


def _written_mask(writer, op, shape, masks, name):
    """Returns a tensor of 1 where a score is kept and 0 elsewhere, or `None` without any mask."""
    make, kept = _Shares(writer, shape, name), None
    fixed = op.fixed(shape)
    if fixed is not None:
        kept = writer.constant(f"{name}/fixed", fixed.reshape((1,) * (len(shape) - 2) + fixed.shape))
    for number, (role, mask) in enumerate(zip(op.masks, masks, strict=True)):
        if mask.dtype != "bool":
            unlike = writer.activation(f"{name}/{number}/unlike", mask.shape, dtype="bool")
            zero = writer.constant(f"{name}/{number}/zero", np.zeros((), mask.dtype))
            writer.operator("NOT_EQUAL", [mask, zero], [unlike], "NotEqualOptions")
            mask = unlike
        part = make._cast(mask, "float32", f"{number}/number")
        part = writer.reshape(part, mask_shape(role, part.shape, len(shape)), f"{name}/{number}")
        kept = part if kept is None else make._add("MUL", kept, part, f"{number}/all")
    return kept


def _write_float(writer, op, scores, kept, name):
    make = _Shares(writer, scores.shape, name)
    logits = make._add("MUL", scores, float(op.factor), "scaled")
    if kept is not None:
        offset = make._add("MUL", make._add("SUB", kept, 1.0, "gone"), -_LEFT_OUT, "offset")
        logits = make._add("ADD", make._add("MUL", logits, kept, "kept_scores"), offset, "masked")
    out = writer.activation(f"{name}/all" if kept is not None and op.empty else name, scores.shape)
    writer.operator("SOFTMAX", [logits], [out], "SoftmaxOptions", beta=1.0)
    return make._add("MUL", out, kept, "some") if kept is not None and op.empty else out


def _wider(a, b) -> tuple:
    """Returns the shape of an elementwise result; `None` is the batch."""
    rank = max(len(a), len(b))
    a, b = ((1,) * (rank - len(shape)) + tuple(shape) for shape in (a, b))
    return tuple(None if None in pair else max(pair) for pair in zip(a, b, strict=True))
