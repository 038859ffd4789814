"""exp, correctly rounded to float32 on every backend: the runtime's tables come from the C library's.

The backends' own float32 exp differ from it, and from each other, by a unit in the last place, which
moves a probability across a rounding border now and then. Float64 is no way out: JAX has none by default.

Forward, with `k = rint(x * 64 / ln 2)` and `r = x - k * ln 2 / 64` in twofold float32 precision:
    `exp(x) = 2^(k div 64) * T[k mod 64] * (1 + r + r^2/2 + r^3/6 + r^4/24)`
"""

import numpy as np
from keras import ops

from kqat.lowering.arithmetic.rescale import unfused

_PARTS = 64
_LOWEST = -80.0  # exp of less adds nothing to a float32 sum that holds a 1


def _head(x, bits):
    """Returns float64 `x` with `bits` bits after the point."""
    return np.rint(x * 2.0**bits) / 2.0**bits


_STEP = np.log(2.0) / _PARTS
_STEP_HEAD = _head(_STEP, 17)  # 10 significant bits: its product with k, at most 13 bits, is exact
_STEP_NECK = _head(_STEP - _STEP_HEAD, 28)
_STEP_TAIL = _STEP - _STEP_HEAD - _STEP_NECK
_ROOTS = np.exp(np.arange(_PARTS) * _STEP)
_ROOT_HEAD = _head(_ROOTS, 11).astype(np.float32)
_ROOT_TAIL = (_ROOTS - _ROOT_HEAD).astype(np.float32)
_POWERS = (2.0 ** np.arange(-120, 1)).astype(np.float32)


def _two_sum(a, b):
    """Returns `a + b` rounded, and what the rounding left out; compilers know `1 + b - 1` to be `b`."""
    total = unfused(ops.add(a, b))
    part = ops.subtract(total, a)
    left = ops.subtract(a, ops.subtract(total, part))
    return total, ops.add(left, ops.subtract(b, part))


def exp_pair(x):
    """Returns exp of `x <= 0` as a float32 and the float32 remainder that it rounds away.

    The pair is right to about 36 bits.
    """
    value, left, power = exp_parts(x)
    return ops.multiply(value, power), ops.multiply(left, power)


def exp_parts(x):
    """Returns exp of `x <= 0` as `(value + left) * power`: a float32 from 1 to 2, its rest, a power of 2.

    Every product that a sum must keep whole is exact, so a compiler that fuses multiplications into
    additions changes nothing.
    """
    x = ops.maximum(x, _LOWEST)
    k = ops.round(ops.multiply(x, float(1.0 / _STEP)))
    r = ops.subtract(x, ops.multiply(k, float(_STEP_HEAD)))
    r, rest = _two_sum(r, ops.multiply(k, float(-_STEP_NECK)))
    rest = ops.subtract(rest, ops.multiply(k, float(_STEP_TAIL)))
    turns = ops.floor(ops.multiply(k, 1.0 / _PARTS))
    part = ops.cast(ops.subtract(k, ops.multiply(turns, float(_PARTS))), "int32")
    head, tail = ops.take(_ROOT_HEAD, part), ops.take(_ROOT_TAIL, part)
    r_head = ops.multiply(ops.round(ops.multiply(r, 2.0**18)), 2.0**-18)
    total, low = _two_sum(head, ops.multiply(head, r_head))
    cubic = ops.add(1.0 / 6.0, ops.multiply(r, 1.0 / 24.0))
    curve = ops.multiply(ops.multiply(r, r), ops.add(0.5, ops.multiply(r, cubic)))
    rest = ops.add(ops.add(rest, curve), ops.subtract(r, r_head))
    small = ops.multiply(tail, ops.add(1.0, ops.add(r, curve)))
    # TensorFlow's graph optimizer turns sums of sums into one sum in an order of its own, and with the pair's
    # remainder unused it would dissolve the pair: what is added up first has to stay apart.
    low = unfused(ops.add(low, unfused(ops.add(ops.multiply(head, rest), small))))
    power = ops.take(_POWERS, ops.cast(ops.add(turns, 120.0), "int32"))
    value = ops.add(total, low)
    left = ops.subtract(low, ops.subtract(value, total))
    return value, left, power


def _halves(x, bits):
    """Returns a float32 below 2 as a sum of two of at most 12 bits, the first with `bits` after the point."""
    head = ops.multiply(ops.round(ops.multiply(x, 2.0**bits)), 2.0**-bits)
    return head, ops.subtract(x, head)


def sigmoid(x):
    """Returns `1 / (1 + exp(-x))`, correctly rounded: the runtime computes its table in float64.

    Division with remainder: `t = n / d` is put right by `(n - t * d) / d`, where the products of halves are
    exact.
    """
    value, left, power = exp_parts(ops.negative(ops.abs(x)))
    d, d_left = _two_sum(1.0, ops.multiply(value, power))
    d_left = ops.add(d_left, ops.multiply(left, power))
    below = ops.less(x, 0.0)
    n, n_left = ops.where(below, value, 1.0), ops.where(below, left, 0.0)
    t = ops.divide(n, d)
    (th, tl), (dh, dl) = _halves(t, 11), _halves(d, 11)
    rest = unfused(ops.subtract(n, ops.multiply(th, dh)))
    rest = unfused(ops.subtract(rest, ops.multiply(th, dl)))
    rest = unfused(ops.subtract(rest, ops.multiply(tl, dh)))
    rest = unfused(ops.subtract(rest, ops.multiply(tl, dl)))
    rest = unfused(ops.add(rest, unfused(ops.subtract(n_left, ops.multiply(t, d_left)))))
    y = unfused(ops.add(t, ops.divide(rest, d)))
    return ops.multiply(y, ops.where(below, power, 1.0))


def exp(x):
    """Returns exp of `x <= 0`, correctly rounded (but for about one value in a thousand)."""
    return exp_pair(x)[0]
