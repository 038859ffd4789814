"""Documents of an archive take a sensible amount of memory and time."""

import pytest

from kqat.core.archive import check_shape, parse_document
from kqat.core.errors import CheckpointError

BOMBS = {
    "lists": b"[" + b"[]," * 2**21 + b"[]]",
    "objects": b"[" + b'{"":0},' * 2**21 + b"0]",
    "numbers": b"[" + b"0," * 2**24 + b"0]",
    "deep": b"[" * 15_000 + b"]" * 15_000,
    "no JSON": b"{",
    "no text": b"\xff\xfe",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name):
    with pytest.raises(CheckpointError, match="damaged"):
        parse_document(BOMBS[name], "about.json")


def test_documents_are_read():
    assert parse_document(b'{"a": [1, 2.5, null]}', "x") == {"a": [1, 2.5, None]}


@pytest.mark.parametrize(
    "shape",
    [
        [2**39] * 300_000,
        [1] * 17,
        [2**41],
        [2**20, 2**21],
        [0, 2**39, 2**39],
        [-1],
        [True],
        [1.0],
        ["1"],
        {},
        None,
        3,
    ],
)
def test_shapes_that_no_array_has(shape):
    with pytest.raises(CheckpointError, match="a shape of"):
        check_shape(shape)


@pytest.mark.parametrize("shape", [[], [0], [3, 0, 5], [2**40], [1] * 16])
def test_shapes(shape):
    assert check_shape(shape) == shape
