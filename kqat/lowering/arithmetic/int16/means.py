"""What means between int16 tensors are made of."""

from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.arithmetic.int16.border import INT16_MAX, INT16_MIN
from kqat.lowering.arithmetic.int16.factor import factor
from kqat.lowering.arithmetic.reach import Reach

_REACH = Reach(2.0**-13, 2.0**13)
_MOST = 2**15
_CHUNK = 14


def scale_multiplier(source, target):
    """Returns multiplier and shift of `sx / so`."""
    return factor(source.scale, ops.ones_like(source.scale), target.scale).multiplier()


def in_reach(source: Grid, target: Grid) -> Grid:
    """Returns the target, or where its scale is too far from the source's, the nearest grid of 16 bits."""
    near = _REACH.covers(target.scale, source.scale)
    low, high = ops.where(near, target.qmin, INT16_MIN), ops.where(near, target.qmax, INT16_MAX)
    return Grid(_REACH.nearest(target.scale, source.scale), low, high)


def mean_of(sums, counts):
    """Returns `sums / counts` rounded half away from 0, int32."""
    doubled = ops.add(ops.multiply(ops.abs(sums), 2), counts)
    return ops.multiply(ops.sign(sums), ops.floor_divide(doubled, ops.multiply(counts, 2)))


def require_count(count: int, step) -> None:
    """Raises where a mean is one of so many values that the runtime's int32 sum could overflow."""
    if count > _MOST:
        raise ValueError(
            f"The mean {step.op.name!r} is one of too many 16-bit values. Received: {count} values. "
            f"Use at most {_MOST}, for example by pooling before."
        )


def shared(multiplier, shift, count: int):
    """Returns multiplier and shift of factor / `count`: `floor(multiplier * 2^k / count)`, `2^k <= count`."""
    doublings = count.bit_length() - 1
    quotient = ops.floor_divide(multiplier, count)
    rest = ops.subtract(multiplier, ops.multiply(quotient, count))
    for left in range(doublings, 0, -_CHUNK):
        bits = min(left, _CHUNK)
        rest = ops.left_shift(rest, bits)
        digit = ops.floor_divide(rest, count)
        rest = ops.subtract(rest, ops.multiply(digit, count))
        quotient = ops.add(ops.left_shift(quotient, bits), digit)
    return quotient, ops.subtract(shift, doublings)
