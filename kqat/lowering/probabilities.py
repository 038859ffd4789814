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
from kqat.lowering.arithmetic.border import write_quantize
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import rescale, same_grid, to_real, write_rescale
from kqat.lowering.base import Lowering
from kqat.lowering.formulas.computed import Computed
from kqat.lowering.formulas.written import Written
from kqat.lowering.registry import register
from kqat.lowering.treatment import SIGMOID_RANGE, Treatment
from kqat.ops.arrays import as_numpy
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

    def kept(self, shape, masks, do=None):
        """Returns 1 where a score is kept and 0 elsewhere, or `None` without any mask.

        Args:
            shape: Shape of the scores.
            masks: The masks.
            do: Operations of formulas; by default those on backend tensors.
        """
        do, fixed = do or Computed(), self.fixed(shape)
        parts = [] if fixed is None else [fixed.reshape((1,) * (len(shape) - 2) + fixed.shape)]
        for role, mask in zip(self.masks, masks, strict=True):
            parts.append(do.reshape(do.is_set(mask), (None, *mask_shape(role, mask.shape, len(shape))[1:])))
        return do.product(*parts) if parts else None

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
        (source, *_), op = step.inputs, step.op
        kept = op.kept(scores.shape, masks)
        if kept is None:
            return Softmax(beta=np.float32(op.factor)).forward(scores, source, step.output)
        table = _table(source, np.float32(op.factor), scores.shape[-1])
        share = to_levels(_shares(Computed(), scores, source, kept, table, op.empty), PROBABILITY)
        return rescale(to_real(share, PROBABILITY), PROBABILITY, step.output)

    def emit(self, writer, step, inputs, name):
        (scores, *masks), op = inputs, step.op
        do = Written(writer, None, name)
        with writer.owned(FLOAT):
            kept = op.kept(scores.shape, masks, do)
            if step.output is None:
                return writer.renamed(_float_softmax(do, scores, kept, op), name)
        if kept is None:
            return Softmax(beta=np.float32(op.factor)).write(writer, scores, step.output, name)
        table = as_numpy(_table(scores.grid, np.float32(op.factor), scores.shape[-1]))
        with writer.owned(FLOAT):
            share = _shares(do, scores, scores.grid, kept, table, op.empty)
        fixed = same_grid(step.output, PROBABILITY)
        with writer.owned(BORDER):
            y = write_quantize(writer, share, PROBABILITY, name if fixed else f"{name}/probability")
        return y if fixed else write_rescale(writer, y, step.output, name)


def _masked(do, x, kept, far: float):
    """Returns `x` where it is kept, and `-far` elsewhere."""
    return do.add(do.multiply(x, kept), do.multiply(do.subtract(kept, 1.0), far))


def _shares(do, scores, grid, kept, table, empty: bool):
    """Returns the real probabilities of scores on a grid: whole numbers for the distances to the top."""
    levels = _masked(do, do.codes(scores, grid), kept, _FAR)
    last = [len(scores.shape) - 1]
    top = do.largest(levels, last)
    top = do.maximum(top, -_FAR / 2) if empty else top
    e = do.look_up(table, do.subtract(top, levels), positive=True)
    return do.multiply(e, do.reciprocal(do.maximum(do.sum(e, last), 1.0)))


def _float_softmax(do, scores, kept, op):
    """Returns what the layer itself computes of scores in float."""
    scores = do.multiply(scores, float(op.factor))
    if kept is None:
        return do.softmax(scores)
    y = do.softmax(_masked(do, scores, kept, -_LEFT_OUT))
    return do.multiply(y, kept) if op.empty else y


def _table(source, factor, count: int):
    """Returns the whole number of each distance from the top, and 0 for what is left out."""
    unit = 2.0 ** min(16, 24 - math.ceil(math.log2(max(count, 2))))
    step = ops.negative(ops.multiply(source.scale, factor))
    values = exp(ops.multiply(ops.arange(_LEVELS, dtype="float32"), step))
    return ops.concatenate([ops.round(ops.multiply(values, unit)), ops.zeros((1,))])
