"""Numbers that follow from sizes: found from two recordings, saved, and filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kqat.lowering.recording.sizes import FOLDED, Size, example_shape, filled, located, merged, merged_shape

UNKNOWN = (None, None, None)


@given(st.integers(1, 10**4), st.lists(st.integers(0, 2), max_size=3))
def test_a_product_of_sizes_is_found_and_filled_in_again(factor, axes):
    first, second = (example_shape(UNKNOWN, recording) for recording in (0, 1))
    numbers = [factor, factor]
    for axis in axes:
        numbers = [numbers[0] * first[axis], numbers[1] * second[axis]]
    found = merged(*numbers)
    assert found == (Size(factor, tuple(sorted(axes))) if axes else factor)
    setting = located([found, -1], dict.fromkeys(range(3), 1))
    for shape in ((2, 3, 5), (1, 1, 1), (7, 11, 4)):
        expected = factor
        for axis in axes:
            expected *= shape[axis]
        assert filled(setting, [(), shape]) == [expected, -1]


@pytest.mark.parametrize("numbers", [(113 // 2, 127 // 2), (113 + 1, 127 + 1), (5, 7), (0, 127)])
def test_what_is_no_product_of_sizes_is_not_taken_for_one(numbers):
    assert merged(*numbers) is None


def test_sizes_that_differ_are_unknown():
    assert merged_shape((113, 4, 131), (127, 4, 139)) == (None, 4, None)
    assert example_shape((None, 4), 0)[1] == 4


@given(st.integers(1, 100), st.sampled_from([1, 4, 16, 30]))
def test_a_batch_that_calls_divide_is_a_multiple(factor, windows):
    numbers = [example_shape(UNKNOWN, recording, FOLDED)[0] for recording in (0, 1)]
    assert merged(*(n * factor for n in numbers), FOLDED) == Size(factor, (0,))
    assert all(n % windows == 0 for n in numbers)
    assert windows == 1 or merged(*(n // windows for n in numbers), FOLDED) is None
