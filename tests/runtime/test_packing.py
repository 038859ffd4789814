"""Bit packing: every byte, every width, round trips, and what does not fit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kqat_runtime.packing.bits import WIDTHS, fits, pack, packed_size, unpack, width_for

EVERY_BYTE = np.arange(256, dtype=np.uint8)


def slowly(data, bits):
    """The values in `data`, read bit by bit from the written rule."""
    text = "".join(format(byte, "08b")[::-1] for byte in data)  # lowest bit first
    fields = [text[i : i + bits][::-1] for i in range(0, len(text), bits)]
    if bits == 1:
        return [-1 if field == "1" else 1 for field in fields]
    return [int(field, 2) - (2**bits if field[0] == "1" else 0) for field in fields]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_every_byte_means_what_the_rule_says(bits):
    values = unpack(EVERY_BYTE, bits, 256 * 8 // bits)
    assert values.dtype == np.int8
    assert values.tolist() == slowly(EVERY_BYTE, bits)
    np.testing.assert_array_equal(pack(values, bits), EVERY_BYTE)


def test_sixteen_bits_are_little_endian():
    assert pack(np.array([1, -2]), 16).tolist() == [1, 0, 254, 255]
    assert unpack(np.array([1, 0, 254, 255]), 16, 2).tolist() == [1, -2]
    assert unpack(np.zeros(2, np.uint8), 16, 1).dtype == np.int16


def test_the_first_value_is_lowest():
    assert pack(np.int8([1, -1]), 4).tolist() == [0xF1]
    assert pack(np.int8([1, 0, -1, -2]), 2).tolist() == [0b10_11_00_01]
    assert pack(np.int8([-1, 1, 1, 1, 1, 1, 1, 1]), 1).tolist() == [1]


@given(st.sampled_from(WIDTHS), st.data())
def test_round_trip(bits, data):
    limit = 2 ** (bits - 1)
    element = st.sampled_from([-1, 1]) if bits == 1 else st.integers(-limit, limit - 1)
    values = data.draw(
        hnp.arrays(np.int32, hnp.array_shapes(max_dims=3, min_side=0, max_side=5), elements=element)
    )
    packed = pack(values, bits)
    assert packed.dtype == np.uint8
    assert packed.size == packed_size(values.size, bits) == -(-values.size * bits // 8)
    np.testing.assert_array_equal(unpack(packed, bits, values.size), values.ravel())


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
@pytest.mark.parametrize("side", [-1, 1])
def test_values_beyond_the_range_are_refused(bits, side):
    beyond = 2 ** (bits - 1) if side > 0 else -(2 ** (bits - 1)) - 1
    values = np.array([0, beyond])
    assert not fits(values, bits)
    assert fits(values - side, bits)
    with pytest.raises(ValueError, match=rf"do not fit into {bits} bits. Received: .* Use "):
        pack(values, bits)


@pytest.mark.parametrize("value", [0, 2, -2, -128])
def test_one_bit_holds_signs_only(value):
    with pytest.raises(ValueError, match="fit into 1 bits.*Use -1 and 1"):
        pack(np.int8([1, value]), 1)


@pytest.mark.parametrize(
    ("values", "bits", "width"),
    [
        ([1, -1], 1, 1),
        ([1, 0], 1, 2),
        ([1, -1], 2, 2),
        ([2, -1], 2, 4),
        ([3, -3], 3, 4),
        ([7], 4, 4),
        ([8], 4, 8),
        ([1], 5, 8),
        ([-128], 1, 8),
        ([1], 9, 16),
        ([300], 2, 16),
        ([], 1, 1),
    ],
)
def test_width_grows_until_the_values_fit(values, bits, width):
    assert width_for(np.array(values, np.int32), bits) == width


def test_width_ends_at_sixteen():
    with pytest.raises(ValueError, match="16 bits. Received: bits=8, values up to 40000"):
        width_for(np.array([40000]), 8)


@pytest.mark.parametrize("bits", [0, 3, 5, 32, -1])
def test_unknown_width_is_named(bits):
    with pytest.raises(ValueError, match=f"no storage of this width. Received: bits={bits}. Use 1, 2"):
        pack(np.int8([1]), bits)


def test_floats_are_refused():
    with pytest.raises(TypeError, match="Only integers.*float64"):
        pack(np.array([1.0]), 4)


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 3), (2, 2), (1, 0), (1, -1)])
def test_wrong_number_of_bytes_is_refused(size, count):
    with pytest.raises(ValueError, match=f"Received: {size} bytes for {count} values of 4 bits"):
        unpack(np.zeros(size, np.uint8), 4, count)


def test_bits_behind_the_last_value_are_refused():
    assert unpack(np.uint8([0x07]), 4, 1).tolist() == [7]
    with pytest.raises(ValueError, match="unused bits.*0x17 with 4 bits"):
        unpack(np.uint8([0x17]), 4, 1)
