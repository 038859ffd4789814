"""Whole numbers of 1, 2, 4, 8 or 16 bits as bytes and back.

The first value lies in the lowest bits of the first byte, values follow one another without regard to
rows, and unused bits at the end are 0. Numbers are in two's complement; with one bit, 1 stands for -1 and
0 for +1.
"""

import numpy as np

WIDTHS = (1, 2, 4, 8, 16)
_BYTE = 8


def packed_size(count: int, bits: int) -> int:
    """Returns how many bytes `count` values of `bits` bits take."""
    return -(-count * _checked(bits) // _BYTE)


def fits(values: np.ndarray, bits: int) -> bool:
    """Whether every value can be stored in `bits` bits; in 1 bit only -1 and 1 can."""
    values = np.asarray(values)
    if _checked(bits) == 1:
        return bool(np.all(np.abs(values) == 1))
    limit = 2 ** (bits - 1)
    return bool(values.min(initial=0) >= -limit and values.max(initial=0) < limit)


def width_for(values: np.ndarray, bits: int) -> int:
    """Returns the smallest width, `bits` or more, that can store every value.

    Args:
        values: Whole numbers from -32768 to 32767.
        bits: Width of the grid that they lie on, 1 to 16.

    Raises:
        ValueError: No width can.
    """
    for width in WIDTHS:
        if width >= bits and fits(values, width):
            return width
    raise ValueError(
        f"The values do not fit into 16 bits. Received: bits={bits}, values up to "
        f"{np.abs(np.asarray(values, np.float64)).max(initial=0):g}. Use -32768 to 32767 and 1 to 16 bits."
    )


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """Returns whole numbers as bytes.

    Args:
        values: Integers of any shape, read in C order.
        bits: 1 (then every value is -1 or 1), 2, 4, 8 or 16.

    Returns:
        uint8 array of `packed_size(values.size, bits)` bytes.

    Raises:
        TypeError: The values are not of an integer type.
        ValueError: A value does not fit.
    """
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise TypeError(f"Only integers can be packed. Received: {values.dtype}. Use an integer array.")
    if not fits(values, bits):
        allowed = "-1 and 1" if bits == 1 else f"{-(2 ** (bits - 1))} to {2 ** (bits - 1) - 1}"
        raise ValueError(
            f"The values do not fit into {bits} bits. Received: {values.min()} to {values.max()}. "
            f"Use {allowed}."
        )
    if bits >= _BYTE:
        return values.ravel().astype(f"<i{bits // _BYTE}").view(np.uint8)
    codes = (values.ravel() < 0) if bits == 1 else values.ravel() & (2**bits - 1)
    each = _BYTE // bits
    fields = np.zeros((packed_size(values.size, bits), each), np.uint8)
    fields.reshape(-1)[: values.size] = codes
    packed = fields[:, 0].copy()
    for i in range(1, each):
        packed |= fields[:, i] << (bits * i)
    return packed


def unpack(data: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Returns the values that `pack` was given, flat.

    Args:
        data: The bytes, uint8.
        bits: 1, 2, 4, 8 or 16.
        count: How many values there are.

    Returns:
        int8 array, for 16 bits int16, of shape `(count,)`.

    Raises:
        ValueError: The number of bytes does not belong to `count`, or unused bits are not 0.
    """
    data = np.ascontiguousarray(data, np.uint8).ravel()
    if count < 0 or data.size != packed_size(count, bits):
        raise ValueError(
            f"The packed values are incomplete. Received: {data.size} bytes for {count} values of {bits} "
            f"bits. Use {packed_size(max(count, 0), bits)} bytes."
        )
    if bits >= _BYTE:
        return data.view(f"<i{bits // _BYTE}").astype(f"i{bits // _BYTE}")
    used = count * bits % _BYTE
    if used and data[-1] >> used:
        raise ValueError(
            f"The unused bits behind the last value are not 0. Received: last byte {data[-1]:#04x} with "
            f"{used} bits in use. Use bytes that `pack` returned."
        )
    return np.take(_table(bits), data).view(np.int8)[:count]


def _table(bits: int) -> np.ndarray:
    """Returns for each byte its values, joined into one word so that a look-up moves them together."""
    each = _BYTE // bits
    codes = (np.arange(256)[:, None] >> (bits * np.arange(each))) & (2**bits - 1)
    half = 2 ** (bits - 1)
    values = 1 - 2 * codes if bits == 1 else (codes ^ half) - half
    return np.ascontiguousarray(values.astype(np.int8)).view(f"u{each}").ravel()


def _checked(bits: int) -> int:
    if bits not in WIDTHS:
        raise ValueError(f"There is no storage of this width. Received: bits={bits!r}. Use 1, 2, 4, 8 or 16.")
    return bits
