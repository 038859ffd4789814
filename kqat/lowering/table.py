"""Activations that are a function of the input code alone, so that a table of 256 results is all there is.

Forward: the results for all levels, computed once and looked up. The runtime builds the same tables:
    LOGISTIC, TANH, ELU:  `rint(f(level * sx) * (1 / so) + zo)`, the zero point inside the rounding
    GELU:                 `round(f(level * sx) * (1 / so)) + zo`, halves away from 0
Other functions are written as a table of our own, CAST, ADD and GATHER.
"""

import numpy as np
from keras import ops

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.lowering.exponential import exp_pair
from kqat.lowering.requantize import to_levels
from kqat.lowering.rescale import half_up, rescale, same_grid, to_real, unfused, write_rescale
from kqat.ops.reciprocal import reciprocal

_SPAN = INT8_MAX - INT8_MIN
_LEVELS = np.arange(-_SPAN, _SPAN + 1, dtype=np.float32)  # those of every 8-bit grid
SIGNED_UNIT = Grid(np.float32(1 / 128), np.float32(INT8_MIN), np.float32(INT8_MAX))


def look_up(x, source: Grid, results):
    """Returns `results`, one for each of `_LEVELS`, at the levels of `x`."""
    return ops.take(results, ops.cast(ops.add(to_levels(x, source), float(_SPAN)), "int32"))


def inputs_of(source: Grid):
    """Returns the real values of `_LEVELS`."""
    return ops.multiply(_LEVELS, source.scale)


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
    """Returns `x/2 * (1 + erf(x / sqrt(2)))`."""
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


class Table:
    """Base of kernels with a built-in operator that looks its results up.

    Args:
        builtin: The operator.
        function: What it computes in float32.
        fixed_grid: The output grid that the runtime dictates, or `None` for any.
        options: Name of the options table.
        version: Version of the operator that knows int8.
        **fields: Its fields.
    """

    def __init__(self, builtin, function, fixed_grid=None, options=None, version=2, **fields):
        self.builtin, self.function, self.fixed_grid = builtin, function, fixed_grid
        self.options, self.version, self.fields = options, version, fields

    def forward(self, x, source: Grid, target: Grid):
        """Returns the activation of `x` on `target`."""
        own = self.fixed_grid or target
        results = unfused(ops.multiply(self.function(inputs_of(source)), reciprocal(own.scale)))
        y = to_real(look_up(x, source, self.round(results, own)), own)
        return rescale(y, own, target)

    def round(self, results, grid: Grid):
        """Returns the output levels, the output's zero point inside the rounding."""
        top = ops.subtract(float(INT8_MAX), grid.qmax)
        return ops.subtract(ops.round(ops.add(results, top)), top)

    def write(self, writer, x, target: Grid | None, name: str):
        """Appends the operator, and a QUANTIZE where its output grid is fixed and not `target`."""

        def emit(out):
            version = 1 if x.grid is None else self.version
            writer.operator(self.builtin, [x], [out], self.options, version, **self.fields)

        if target is None or self.fixed_grid is None:
            return write_result(writer, x, target, name, emit)
        same = same_grid(self.fixed_grid, target)
        out = writer.activation(name if same else f"{name}/fixed", x.shape, self.fixed_grid)
        emit(out)
        return write_rescale(writer, out, target, name)


class AwayTable(Table):
    """A table that rounds halves away from 0."""

    def round(self, results, grid: Grid):
        return ops.multiply(ops.sign(results), half_up(ops.abs(results)))


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
        zero_point = INT8_MIN - int(target.qmin)
        # Codes that no level has get the result of the nearest level that there is.
        codes = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.float32) - x.zero_point
        inside = np.clip(codes, x.grid.qmin, x.grid.qmax).astype(np.float32)
        results = ops.convert_to_numpy(self._levels(inside, x.grid, target)) + zero_point
        table = writer.constant(f"{name}/table", results.astype(np.int8), target.scale, zero_point)
        index = writer.activation(f"{name}/code", x.shape, dtype="int32")
        writer.operator("CAST", [x], [index], "CastOptions", 3, inDataType="INT8", outDataType="INT32")
        shifted = writer.activation(f"{name}/index", x.shape, dtype="int32")
        offset = writer.constant(f"{name}/offset", np.int32(-INT8_MIN))
        writer.operator("ADD", [index, offset], [shifted], "AddOptions")
        out = writer.activation(name, x.shape, target, zero_point)
        writer.operator("GATHER", [table, shifted], [out], "GatherOptions", 2)
        return out

    def _write_float(self, writer, x, name):
        if self.builtin is None:
            raise NotImplementedError(
                f"The activation {name!r} has no float operator. Received: a tensor without a grid. "
                "Quantize the layer, or use another activation."
            )
        return write_result(writer, x, None, name, lambda out: writer.operator(self.builtin, [x], [out]))
