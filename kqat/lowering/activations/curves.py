"""Activation functions as float formulas, for widths and forms that no integer kernel has.

Every one is made of operations that IEEE 754 defines, so Keras and the file agree in every bit. With
`k = rint(x / ln 2)` and `r = x - k * ln 2`:

    exp(x)   = 2^k * (1 + p),  p = r + r^2/2 + ... + r^7/5040
    log1p(e) = 2 * (z + z^3/3 + ... + z^17/17),  z = e / (2 + e)
    erfc(z)  = t * exp(-z^2 + P(t)),  t = 1 / (1 + z/2)          (Numerical Recipes, 1.2e-7 of the result)
"""

import math

import numpy as np

from kqat.lowering.formulas.computed import count

_LN2_HEAD, _LN2_TAIL = 0.693359375, np.float32(math.log(2.0) - 0.693359375)  # the head times k is exact
_EXPONENTS = 126
_POWERS = (2.0 ** np.arange(-_EXPONENTS, _EXPONENTS + 1)).astype(np.float32)
_LOWEST, _HIGHEST = -70.0, 86.0  # exp of more leaves float32, and of less its products are subnormal
_TAYLOR = [np.float32(1 / math.factorial(n)) for n in range(7, 0, -1)]
_ATANH = [np.float32(2 / n) for n in range(17, 0, -2)]
_ERFC = [
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196,
    1.00002368, -1.26551223,
]  # fmt: skip
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_SUM_BITS = 23


def polynomial(do, x, coefficients):
    """Returns the value of a polynomial, the coefficient of the highest power first."""
    total = do.add(do.multiply(x, coefficients[0]), coefficients[1])
    for coefficient in coefficients[2:]:
        total = do.add(do.multiply(total, x), coefficient)
    return total


def _exponential(do, x):
    """Returns `2^k` and `p`."""
    x = clip(do, x, _LOWEST, _HIGHEST)
    k = do.round(do.multiply(x, np.float32(1 / math.log(2.0))))
    r = do.subtract(do.subtract(x, do.multiply(k, _LN2_HEAD)), do.multiply(k, _LN2_TAIL))
    return do.look_up(_POWERS, do.add(k, float(_EXPONENTS))), do.multiply(r, polynomial(do, r, _TAYLOR))


def exp(do, x):
    """Returns `exp(x)`."""
    power, p = _exponential(do, x)
    return do.add(power, do.multiply(power, p))


def expm1(do, x):
    """Returns `exp(x) - 1`, near 0 as exact as `x`."""
    power, p = _exponential(do, x)
    return do.add(do.subtract(power, 1.0), do.multiply(power, p))


def log1p(do, e):
    """Returns `log(1 + e)` for `e` from 0 to 1."""
    z = do.divide(e, do.add(e, 2.0))
    return do.multiply(z, polynomial(do, do.multiply(z, z), _ATANH))


def clip(do, x, low, high):
    """Returns `min(max(x, low), high)`."""
    return do.minimum(do.maximum(x, low), high)


def _choose(do, chosen, a, b):
    """Returns `a` where `chosen` is 1 and `b` where it is 0."""
    return do.add(do.multiply(chosen, a), do.multiply(do.subtract(1.0, chosen), b))


def rectifier(do, x, slope=0.0, top=None, threshold=0.0):
    """Returns `x` from `threshold` on, up to `top`, and `slope * (x - threshold)` below."""
    if threshold:
        below = do.multiply(do.subtract(x, float(threshold)), float(slope))
        y = _choose(do, do.at_least(x, float(threshold)), x, below)
    else:
        y = do.maximum(x, 0.0)
        y = do.add(y, do.multiply(do.minimum(x, 0.0), np.float32(slope))) if slope else y
    return y if top is None else do.minimum(y, float(top))


def prelu(do, x, alpha):
    """Returns `max(x, 0) + alpha * min(x, 0)`."""
    return do.add(do.maximum(x, 0.0), do.multiply(do.minimum(x, 0.0), alpha))


def sigmoid(do, x):
    """Returns `1 / (1 + exp(-x))`."""
    e = exp(do, do.minimum(x, do.multiply(x, -1.0)))
    return do.divide(_choose(do, do.at_least(x, 0.0), 1.0, e), do.add(e, 1.0))


def tanh(do, x):
    """Returns the hyperbolic tangent, `-expm1(-2|x|) / (2 + expm1(-2|x|))` with the sign of `x`."""
    minus = do.minimum(x, do.multiply(x, -1.0))
    u = expm1(do, do.multiply(minus, 2.0))
    sign = do.subtract(do.multiply(do.at_least(x, 0.0), 2.0), 1.0)
    return do.multiply(do.divide(do.multiply(u, -1.0), do.add(u, 2.0)), sign)


def elu(do, x, alpha=1.0):
    """Returns `x` where it is positive, else `alpha * (exp(x) - 1)`."""
    below = do.multiply(expm1(do, do.minimum(x, 0.0)), float(alpha))
    return do.add(do.maximum(x, 0.0), below)


def celu(do, x, alpha=1.0):
    """Returns `x` where it is positive, else `alpha * (exp(x / alpha) - 1)`."""
    below = expm1(do, do.multiply(do.minimum(x, 0.0), 1.0 / alpha))
    return do.add(do.maximum(x, 0.0), do.multiply(below, float(alpha)))


def selu(do, x):
    """Returns the scaled ELU."""
    return do.multiply(elu(do, x, _SELU_ALPHA), _SELU_SCALE)


def softplus(do, x):
    """Returns `max(x, 0) + log1p(exp(-|x|))`."""
    return do.add(do.maximum(x, 0.0), log1p(do, exp(do, do.minimum(x, do.multiply(x, -1.0)))))


def log_sigmoid(do, x):
    """Returns `min(x, 0) - log1p(exp(-|x|))`."""
    return do.subtract(do.minimum(x, 0.0), log1p(do, exp(do, do.minimum(x, do.multiply(x, -1.0)))))


def mish(do, x):
    """Returns `x * tanh(softplus(x))`, the second factor being a quotient of polynomials in `exp(-|x|)`."""
    e, positive = exp(do, do.minimum(x, do.multiply(x, -1.0))), do.at_least(x, 0.0)
    square = do.multiply(e, e)
    twice = do.multiply(e, 2.0)
    above = _choose(do, positive, do.add(twice, 1.0), do.add(square, twice))
    rest = _choose(do, positive, do.multiply(square, 2.0), 2.0)
    return do.multiply(x, do.divide(above, do.add(above, rest)))


def gelu(do, x, approximate=False):
    """Returns `max(x, 0) - |x| * erfc(|x| / sqrt(2)) / 2`, or the form with a hyperbolic tangent."""
    if approximate:
        cube = do.multiply(do.multiply(x, x), x)
        inner = do.add(x, do.multiply(cube, 0.044715))
        return do.multiply(x, sigmoid(do, do.multiply(inner, 2.0 * math.sqrt(2.0 / math.pi))))
    size = do.maximum(x, do.multiply(x, -1.0))
    z = do.multiply(size, math.sqrt(0.5))
    t = do.divide(1.0, do.add(do.multiply(z, 0.5), 1.0))
    power = do.subtract(polynomial(do, t, _ERFC), do.multiply(z, z))
    tail = do.multiply(do.multiply(t, exp(do, power)), 0.5)
    return do.subtract(do.maximum(x, 0.0), do.multiply(size, tail))


def hard_sigmoid(do, x):
    """Returns `min(max(x + 3, 0), 6) / 6`."""
    return do.multiply(clip(do, do.add(x, 3.0), 0.0, 6.0), 1.0 / 6.0)


def softsign(do, x):
    """Returns `x / (1 + |x|)`."""
    return do.divide(x, do.add(do.maximum(x, do.multiply(x, -1.0)), 1.0))


def soft_shrink(do, x, threshold=0.5):
    """Returns `x` moved towards 0 by `threshold`."""
    above = do.maximum(do.subtract(x, float(threshold)), 0.0)
    return do.add(above, do.minimum(do.add(x, float(threshold)), 0.0))


def hard_shrink(do, x, threshold=0.5):
    """Returns `x` where its size is above `threshold`, else 0."""
    size = do.maximum(x, do.multiply(x, -1.0))
    inside = do.at_least(do.multiply(size, -1.0), -float(threshold))
    return do.multiply(x, do.subtract(1.0, inside))


def threshold(do, x, at, default):
    """Returns `x` where it is above `at`, else `default`."""
    inside = do.at_least(do.multiply(x, -1.0), -float(at))
    return _choose(do, inside, float(default), x)


def squareplus(do, x, b=4):
    """Returns `(x + sqrt(x^2 + b)) / 2`."""
    return do.multiply(do.add(x, do.square_root(do.add(do.multiply(x, x), float(b)))), 0.5)


def sparse_plus(do, x):
    """Returns 0 up to -1, `(x + 1)^2 / 4` up to 1, and then `x`."""
    bent = do.add(clip(do, x, -1.0, 1.0), 1.0)
    bent = do.multiply(do.multiply(bent, bent), 0.25)
    return do.add(bent, do.maximum(do.subtract(x, 1.0), 0.0))


def sparse_sigmoid(do, x):
    """Returns `(x + 1) / 2` between 0 and 1."""
    return clip(do, do.multiply(do.add(x, 1.0), 0.5), 0.0, 1.0)


def softmax(do, x, axes):
    """Returns the softmax over `axes`: whole numbers, whose sum is exact, over their sum."""
    whole, total, _ = _shares(do, x, axes)
    return do.divide(whole, total)


def log_softmax(do, x, axes):
    """Returns `x - max(x) - log(sum(exp(x - max(x))))`."""
    log = log_sum(do, x, axes)
    return do.subtract(do.subtract(x, do.largest(x, axes)), log)


def log_sum(do, x, axes):
    """Returns `log(sum(exp(x - max(x))))`."""
    _, total, bits = _shares(do, x, axes)
    places = int(_SUM_BITS - bits)
    total, turns = do.multiply(total, 2.0**-bits), None
    for place in range(1, places + 1):  # the total lies between 1 and 2^places
        passed = do.at_least(total, 2.0**place)
        turns = passed if turns is None else do.add(turns, passed)
    log = None
    if turns is not None:
        total = do.multiply(total, do.look_up((2.0 ** -np.arange(places + 1)).astype(np.float32), turns))
        log = do.multiply(turns, math.log(2.0))
    rest = log1p(do, do.subtract(total, 1.0))
    return rest if log is None else do.add(log, rest)


def _shares(do, x, axes):
    """Returns `rint(exp(x - max(x)) * 2^bits)`, its sum, which stays below 2^24, and the bits."""
    bits = _SUM_BITS - max(0, math.ceil(math.log2(count(x, axes))))
    e = exp(do, do.subtract(x, do.largest(x, axes)))
    whole = do.round(do.multiply(e, 2.0**bits))
    return whole, do.sum(whole, axes), bits
