"""Golden: the runtime's fixed-point arithmetic in NumPy, against whole numbers of any size."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqat.core import fixed_point

FACTORS = st.floats(2.0**-31, 127.0, exclude_max=True)


def exact_multiplier(factor: float) -> tuple[int, int]:
    """The multiplier by its definition, in rational numbers."""
    shift = int(np.frexp(factor)[1])
    multiplier = int(Fraction(factor) * Fraction(2) ** (31 - shift) + Fraction(1, 2))
    return (2**30, shift + 1) if multiplier == 2**31 else (multiplier, shift)


def half_away(x: Fraction) -> int:
    """Rounds half away from 0."""
    rounded = int(abs(x) + Fraction(1, 2))
    return rounded if x >= 0 else -rounded


@given(FACTORS)
def test_multiplier_is_the_nearest_of_31_bits(factor):
    multiplier, shift = fixed_point.quantize_multiplier(factor)
    assert (int(multiplier), int(shift)) == exact_multiplier(factor)
    assert 2**30 <= multiplier < 2**31


@pytest.mark.parametrize(
    ("factor", "multiplier", "shift"),
    [
        (0.5, 2**30, 0),
        (1.0, 2**30, 1),
        (1 - 2.0**-33, 2**30, 1),
        (1 - 2.0**-31, 2**31 - 1, 0),
        (2.0**-40, 0, 0),
    ],
)
def test_multipliers_at_the_edges(factor, multiplier, shift):
    found = fixed_point.quantize_multiplier(factor)
    assert (int(found[0]), int(found[1])) == (multiplier, shift)


def test_reduced_multipliers_never_need_16_bits():
    assert fixed_point.reduce_multiplier([2**30, 2**30 + 2**15, 2**31 - 1]).tolist() == [
        2**14,
        2**14 + 1,
        2**15 - 1,
    ]


@given(st.integers(-(2**30), 2**30), FACTORS)
def test_sums_of_64_bits(acc, factor):
    multiplier, shift = exact_multiplier(factor)
    reduced = min((multiplier + 2**15) >> 16, 2**15 - 1)
    expected = (acc * reduced + (1 << (14 - shift))) >> (15 - shift)
    if abs(expected) < 2**31:
        assert int(fixed_point.multiply_64(acc, multiplier, shift)) == expected


@given(st.integers(-(2**46), 2**46), FACTORS)
def test_sums_in_double_precision(acc, factor):
    product = Fraction(float(acc) * factor)
    assert int(fixed_point.multiply_double(acc, factor)) == half_away(product)


@given(st.integers(-(2**15), 2**15), st.floats(2.0**-31, 2.0**10))
def test_numbers_of_32_bits(x, factor):
    multiplier, shift = exact_multiplier(factor)
    high = Fraction((x << max(shift, 0)) * multiplier, 2**31)
    high = int(high + Fraction(1, 2)) if high >= 0 else -int(-high + Fraction(1, 2) - Fraction(1, 2**31))
    expected = half_away(Fraction(high, 2 ** max(-shift, 0)))
    assert int(fixed_point.multiply_32(x, multiplier, shift)) == expected
