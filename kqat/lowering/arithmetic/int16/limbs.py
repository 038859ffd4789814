"""Whole numbers of up to 112 bits in a graph that has only int32: limbs of 14 bits, the lowest first.

All limbs but the last lie in `[0, 2^14)`; the last one carries the sign. Products of two limbs are below
2^28, so that a few of them add up in int32.
"""

from keras import ops

BITS = 14
MASK = 2**BITS - 1
TOP = 2 ** (2 * BITS)


def carry(columns):
    """Returns the limbs of `sum(column * 2^(14 * i))`, int32 columns of any sign that broadcast."""
    limbs, rest = [], None
    for column in columns[:-1]:
        total = column if rest is None else ops.add(column, rest)
        limbs.append(ops.bitwise_and(total, MASK))
        rest = ops.right_shift(total, BITS)
    return [*limbs, columns[-1] if rest is None else ops.add(columns[-1], rest)]


def extend(limbs, count: int):
    """Returns the same number in `count` limbs, at least as many as it has."""
    limbs = list(limbs)
    while len(limbs) < count:
        top = limbs.pop()
        limbs += [ops.bitwise_and(top, MASK), ops.right_shift(top, BITS)]
    return limbs


def magnitude(limbs):
    """Returns the limbs of the absolute value, and the sign as 1 or -1."""
    sign = ops.add(ops.multiply(ops.right_shift(limbs[-1], 31), 2), 1)
    return carry([ops.multiply(limb, sign) for limb in limbs]), sign


def multiply(a, b):
    """Returns the limbs of a product of nonnegative numbers of at most 4 limbs each."""
    columns = [None] * (len(a) + len(b))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            product = ops.multiply(one, other)
            columns[i + j] = product if columns[i + j] is None else ops.add(columns[i + j], product)
    columns[-1] = ops.zeros_like(columns[-2])
    return carry(columns)


def shift_right(limbs, amount):
    """Returns the limbs of `floor(number / 2^amount)`.

    Args:
        limbs: The number.
        amount: int32 that broadcasts against the limbs, 0 to 55.
    """
    whole = ops.floor_divide(amount, BITS)
    for step in (2, 1):
        limbs = _skip(limbs, step, ops.not_equal(ops.bitwise_and(whole, step), 0))
    rest = ops.subtract(amount, ops.multiply(whole, BITS))
    below = [
        ops.bitwise_or(
            ops.right_shift(low, rest),
            ops.bitwise_and(ops.left_shift(high, ops.subtract(BITS, rest)), MASK),
        )
        for low, high in zip(limbs[:-1], limbs[1:], strict=True)
    ]
    return [*below, ops.right_shift(limbs[-1], rest)]


def _skip(limbs, step: int, chosen):
    """Drops the lowest `step` limbs where `chosen`."""
    sign = ops.right_shift(limbs[-1], 31)
    inner = ops.bitwise_and(sign, MASK)
    moved = [*limbs[step:-1], ops.bitwise_and(limbs[-1], MASK), *[inner] * (step - 1), sign]
    return [ops.where(chosen, new, old) for new, old in zip(moved, limbs, strict=True)]


def saturate(limbs):
    """Returns the number in int32, clipped to `[-2^28, 2^28 - 1]`; of at least 3 limbs."""
    low, middle, *high = limbs
    sign = ops.right_shift(high[-1], 31)
    inner = ops.bitwise_and(sign, MASK)
    excess = ops.bitwise_xor(high[-1], sign)
    for limb in high[:-1]:
        excess = ops.bitwise_or(excess, ops.bitwise_xor(limb, inner))
    value = ops.add(ops.add(low, ops.left_shift(middle, BITS)), ops.multiply(sign, TOP))
    limit = ops.subtract(ops.multiply(ops.add(sign, 1), TOP - 1), ops.multiply(sign, -TOP))
    return ops.where(ops.equal(excess, 0), value, limit)
