"""Argument checks: what they take, and that their errors say what was received and what would work."""

import numpy as np
import pytest

from kqat.core.checks import check_axis, check_bits, check_range, nearest


@pytest.mark.parametrize("bits", [1, 16, np.int64(4)])
def test_bits_are_returned_as_int(bits):
    assert check_bits(bits) == bits
    assert type(check_bits(bits)) is int


@pytest.mark.parametrize("bits", [0, 17, -8])
def test_bits_out_of_range(bits):
    with pytest.raises(ValueError, match=rf"Received: bits={bits}\. Use 1 to 16\."):
        check_bits(bits)


@pytest.mark.parametrize("bits", [8.0, "8", None, True, np.True_, np.float64(4), np.array([4])])
def test_bits_of_a_wrong_type(bits):
    with pytest.raises(TypeError, match="Received: bits="):
        check_bits(bits)


def test_too_few_bits_come_with_advice():
    with pytest.raises(ValueError, match=r"Use 2 to 16\. Try Sign\."):
        check_bits(1, lowest=2, advice="Try Sign.")


@pytest.mark.parametrize(("axis", "expected"), [(None, None), (-1, (-1,)), ([0, 2], (0, 2)), ((3,), (3,))])
def test_axis_becomes_a_tuple(axis, expected):
    assert check_axis(axis) == expected


@pytest.mark.parametrize("axis", [1.5, "c", [0, None]])
def test_axis_of_a_wrong_type(axis):
    with pytest.raises(TypeError, match="Received: axis="):
        check_axis(axis)


@pytest.mark.parametrize(("low", "high"), [(1, -1), (float("nan"), 1), (0, float("inf"))])
def test_range_must_be_finite_and_rising(low, high):
    with pytest.raises(ValueError, match="Received: low="):
        check_range(low, high)


def test_nearest_lists_everything_and_what_is_close_first():
    assert nearest("pac", ["lsq", "pact"]) == "'pact', 'lsq'"
    assert nearest("zzz", ["lsq", "pact"]) == "'lsq', 'pact'"
