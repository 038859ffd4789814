"""Activations that are a function of the input code alone, so that a table of 256 results is all there is.

Forward: the results for all levels, computed once and looked up. The runtime builds the same tables:
    LOGISTIC, TANH, ELU:  `rint(f(level * sx) * (1 / so) + zo)`, the zero point inside the rounding
    GELU:                 `round(f(level * sx) * (1 / so)) + zo`, halves away from 0
Its f comes from the C library of the platform, right to a unit in the last place or two. Where that could
move a result across a half, and for all other functions, the table itself is written: CAST, ADD, GATHER.
"""

import numpy as np
from keras import ops

from kqat.core.errors import UnsupportedError
from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.activations.exponential import exp_pair
from kqat.lowering.arithmetic.requantize import to_levels
from kqat.lowering.arithmetic.rescale import half_up, rescale, same_grid, to_real, unfused, write_rescale
from kqat.ops.arrays import as_numpy
from kqat.ops.reciprocal import reciprocal

_SPAN = INT8_MAX - INT8_MIN
_LEVELS = np.arange(-_SPAN, _SPAN + 1, dtype=np.float32)  # those of every 8-bit grid
SIGNED_UNIT = Grid(np.float32(1 / 128), np.float32(INT8_MIN), np.float32(INT8_MAX))


# C libraries' functions err by a unit in the last place or two, 2^-23 of the result at most.
_DOUBT = 2.0**-23


def take(table, index):
    """Returns the rows of a table at whole numbers; the first one where the index is NaN.

    NaN has no integer, and the one that it is cast to lies outside: TensorFlow would stop in the middle of a
    compiled `predict`. What is finite is never outside.
    """
    return ops.take(table, ops.clip(ops.cast(index, "int32"), 0, table.shape[0] - 1), axis=0)


def look_up(x, source: Grid, results):
    """Returns `results`, one for each of `_LEVELS`, at the levels of `x`."""
    return take(results, ops.add(to_levels(x, source), float(_SPAN)))


def tanh(x):
    """Returns `(1 - e) / (1 + e) * sign(x)`, `e = exp(-2|x|)`, to about a unit in the last place."""
    e, rest = exp_pair(ops.multiply(ops.abs(x), -2.0))
    above = ops.subtract(ops.subtract(1.0, e), rest)
    return ops.multiply(ops.sign(x), ops.divide(above, ops.add(ops.add(1.0, e), rest)))


def elu(x):
    """Returns `x` where it is positive, else `exp(x) - 1`."""
    e, rest = exp_pair(ops.minimum(x, 0.0))
    return ops.where(ops.less(x, 0.0), ops.add(ops.subtract(e, 1.0), rest), x)


def gelu(x):
    """Returns `x/2 * (1 + erf(x / sqrt(2)))`, in absolute terms to about a unit in the last place of `x`."""
    return ops.multiply(ops.multiply(x, 0.5), ops.add(1.0, _erf(ops.multiply(x, np.float32(0.5**0.5)))))


def _erf(x):
    """Returns erf; far from 0 by its continued fraction, where the last bit decides between halves."""
    z = ops.maximum(ops.abs(x), 2.0)
    fraction = z
    for k in range(20, 0, -1):
        fraction = ops.add(z, ops.divide(k / 2, fraction))
    e, _ = exp_pair(ops.negative(ops.multiply(z, z)))
    far = ops.subtract(1.0, ops.divide(ops.multiply(e, np.float32(np.pi**-0.5)), fraction))
    return ops.where(ops.less(ops.abs(x), 2.0), ops.erf(x), ops.multiply(ops.sign(x), far))


def gelu_tanh(x):
    """Returns `x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))`."""
    cube = ops.multiply(ops.multiply(x, x), x)
    inner = ops.multiply(np.float32((2 / np.pi) ** 0.5), ops.add(x, ops.multiply(0.044715, cube)))
    return ops.multiply(ops.multiply(x, 0.5), ops.add(1.0, tanh(inner)))


def write_result(writer, x, target: Grid | None, name: str, emit):
    """Adds an output of the shape of `x`, int8 on `target` or float, and has `emit(ref)` write it."""
    if target is not None:
        return writer.quantized_output(name, x.shape, target, "linear", emit)
    out = writer.activation(name, x.shape)
    emit(out)
    return out


def levels_of_codes(x):
    """Returns the level of each of 256 codes of a tensor, of a code that no level has the nearest level."""
    codes = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.float32) - np.float32(x.zero_point)
    return np.clip(codes, x.grid.qmin, x.grid.qmax).astype(np.float32)


def write_lookup(writer, x, results, target: Grid, name: str):
    """Appends CAST, ADD and GATHER: the output levels `results`, one for each code of `x`."""
    zero_point = INT8_MIN - int(target.qmin)
    codes = (as_numpy(results) + zero_point).astype(np.int8)
    table = writer.constant(f"{name}/table", codes, target.scale, zero_point)
    index = writer.cast(x, "int32", f"{name}/code")
    shifted = writer.activation(f"{name}/index", x.shape, dtype="int32")
    offset = writer.constant(f"{name}/offset", np.int32(-INT8_MIN))
    writer.operator("ADD", [index, offset], [shifted], "AddOptions")
    out = writer.activation(name, x.shape, target, zero_point)
    writer.operator("GATHER", [table, shifted], [out], "GatherOptions")
    return out


class Table:
    """Base of kernels with a built-in operator that looks its results up.

    Args:
        builtin: The operator.
        function: What it computes in float32.
        fixed_grid: The output grid that the runtime dictates, or `None` for any.
        options: Name of the options table.
        **fields: Its fields.
    """

    def __init__(self, builtin, function, fixed_grid=None, options=None, **fields):
        self.builtin, self.function, self.fixed_grid = builtin, function, fixed_grid
        self.options, self.fields = options, fields

    def forward(self, x, source: Grid, target: Grid):
        """Returns the activation of `x` on `target`."""
        own = self.fixed_grid or target
        results = self.results(_LEVELS, source, own)
        y = to_real(look_up(x, source, self.round(results, own)), own)
        return rescale(y, own, target)

    def results(self, levels, source: Grid, target: Grid):
        """Returns the function of input levels in output steps, not rounded."""
        y = self.function(ops.multiply(levels, source.scale))
        return unfused(ops.multiply(y, reciprocal(target.scale)))

    def doubt(self, results, inputs):
        """Returns how far off the runtime's results may be; `inputs` are in output steps too."""
        return ops.where(ops.equal(results, inputs), 0.0, ops.multiply(ops.abs(results), _DOUBT))

    def is_doubtful(self, levels, source: Grid, target: Grid) -> bool:
        """Tells whether a result is so near to a half that platforms might round it differently."""
        results = self.results(levels, source, target)
        inputs = ops.multiply(ops.multiply(levels, source.scale), reciprocal(target.scale))
        distance = ops.abs(ops.subtract(ops.subtract(results, ops.floor(results)), 0.5))
        return bool(ops.any(ops.less(distance, self.doubt(results, inputs))))

    def round(self, results, grid: Grid):
        """Returns the output levels, the output's zero point inside the rounding."""
        top = ops.subtract(float(INT8_MAX), grid.qmax)
        return ops.subtract(ops.round(ops.add(results, top)), top)

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends the operator, and a QUANTIZE where its output grid is fixed and not `target`."""

        def emit(out):
            writer.operator(self.builtin, [x], [out], self.options, **self.fields)

        if target is None:
            return write_result(writer, x, None, name, emit)
        own = self.fixed_grid or target
        levels = levels_of_codes(x)
        doubtful = self.is_doubtful(levels, x.grid, own)
        if self.fixed_grid is None and not doubtful:
            return write_result(writer, x, target, name, emit)
        inner = name if same_grid(own, target) else f"{name}/fixed"
        if doubtful:
            results = self.round(self.results(levels, x.grid, own), own)
            out = write_lookup(writer, x, ops.clip(results, own.qmin, own.qmax), own, inner)
        else:
            out = writer.activation(inner, x.shape, own)
            emit(out)
        return write_rescale(writer, out, target, name)


class AwayTable(Table):
    """A table that rounds halves away from 0: GELU, whose results are small differences for `x < 0`."""

    def round(self, results, grid: Grid):
        return ops.multiply(ops.sign(results), half_up(ops.abs(results)))

    def doubt(self, results, inputs):
        return ops.where(ops.equal(results, inputs), 0.0, ops.multiply(ops.abs(inputs), 2 * _DOUBT))


class Gather:
    """Any other elementwise function: a table of our own, rounded half to even.

    Args:
        function: The function, on backend tensors.
        builtin: The operator that computes it in float, or `None`.
    """

    fixed_grid = None

    def __init__(self, function, builtin=None):
        self.function, self.builtin = function, builtin

    def forward(self, x, source: Grid, target: Grid):
        """Returns the function of `x` on `target`."""
        return ops.multiply(look_up(x, source, self._levels(_LEVELS, source, target)), target.scale)

    def _levels(self, levels, source, target):
        y = self.function(ops.convert_to_tensor(ops.multiply(levels, source.scale)))
        y = ops.where(ops.equal(y, y), y, 0.0)  # where the function is not defined
        return ops.minimum(ops.maximum(to_levels(y, target), target.qmin), target.qmax)

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends CAST, ADD and GATHER, or the float operator."""
        if target is None:
            return self._write_float(writer, x, name)
        return write_lookup(writer, x, self._levels(levels_of_codes(x), x.grid, target), target, name)

    def _write_float(self, writer, x, name):
        if self.builtin is None:
            raise UnsupportedError(
                f"The activation {name!r} has no float operator. Received: a tensor without a grid. "
                "Quantize the layer, or use another activation."
            )
        return write_result(writer, x, None, name, lambda out: writer.operator(self.builtin, [x], [out]))
