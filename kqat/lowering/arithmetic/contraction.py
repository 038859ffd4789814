"""Products of two tensors as one letter per dimension, and how a batched matrix product computes them."""

import math
from dataclasses import dataclass

import keras

from kqat.core.errors import UnsupportedError

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Contraction:
    """A product of two tensors, arranged for a batched matrix product.

    Args:
        left_axes: Order in which the left operand's dimensions are to be.
        left_shape: Its shape as matrices; `None` is the batch.
        right_axes: As `left_axes`, of the right operand.
        right_shape: As `left_shape`, of the right operand.
        adjoint: Whether the left and the right matrices are taken transposed.
        output_shape: The shape of the product, every dimension apart.
        output_axes: Order that its dimensions then take.
        terms: Number of products in a sum.
    """

    left_axes: tuple[int, ...]
    left_shape: tuple
    right_axes: tuple[int, ...]
    right_shape: tuple
    adjoint: tuple[bool, bool]
    output_shape: tuple
    output_axes: tuple[int, ...]
    terms: int


def contraction(op: keras.Operation, shapes) -> Contraction:
    """Returns how a `Matmul`, `Dot` or `Einsum` is a batched matrix product.

    Args:
        op: The operation.
        shapes: Shapes of its two operands.

    Raises:
        UnsupportedError: It is something else.
    """
    left, right, output = _letters(op, shapes)
    sizes = _sizes(op, (left, right), shapes)
    batch = [c for c in left if c in right and c in output]
    summed = [c for c in left if c in right and c not in output]
    rows, columns = [c for c in left if c not in right], [c for c in right if c not in left]
    plain = {*left} ^ {*right} <= {*output} <= {*left} | {*right} and summed
    if any(sizes[c] is None for c in {*left, *right} - {*left[:1]}):
        _refuse(op, shapes, "known sizes of all dimensions but the batch")
    # Without a batch of its own the right operand is the same for each example, whose rows join the others.
    shared = left[0] == right[0] == output[0]
    if not plain or not (shared or left[0] in rows):
        _refuse(op, shapes, "a sum over shared dimensions other than the batch, which comes first")
    left_order, left_turned = _order(left, batch, rows, summed)
    right_order, right_kept = _order(right, batch, columns, summed)
    product = [*batch, *rows, *columns]
    return Contraction(
        tuple(left.index(c) for c in left_order),
        _matrices(left_order, len(batch), rows if not left_turned else summed, sizes),
        tuple(right.index(c) for c in right_order),
        _matrices(right_order, len(batch), summed if right_kept else columns, sizes),
        (left_turned, not right_kept),
        tuple(sizes[c] for c in product),
        tuple(product.index(c) for c in output),
        math.prod(sizes[c] for c in summed),
    )


def _order(letters: str, batch, free, summed):
    """Returns the order of an operand's dimensions, and whether the summed ones precede the free ones."""
    first = [*batch, *summed, *free]
    return (first, True) if list(letters) == first else ([*batch, *free, *summed], False)


def _matrices(order, lead: int, first, sizes) -> tuple:
    inner = order[lead:]
    split = len(first)
    return (*(sizes[c] for c in order[:lead]), _joined(inner[:split], sizes), _joined(inner[split:], sizes))


def _joined(letters, sizes) -> int | None:
    """Returns the size of dimensions that become one; `None` where the batch is among them."""
    found = [sizes[c] for c in letters]
    return None if None in found else math.prod(found)


def _sizes(op, operands, shapes) -> dict:
    sizes: dict = {}
    for letters, shape in zip(operands, shapes, strict=True):
        if len(set(letters)) != len(letters) or len(letters) != len(shape):
            _refuse(op, shapes, "every dimension once")
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) not in (size, None) and size is not None:
                _refuse(op, shapes, "dimensions of equal size, without broadcasting")
    return sizes


def _letters(op, shapes) -> tuple[str, str, str]:
    """Returns the letters of both operands and of the output."""
    ranks = [len(shape) for shape in shapes]
    if isinstance(op, keras.layers.Dot):
        return _dot(op, shapes, ranks)
    if hasattr(op, "subscripts"):
        left, _, output = op.subscripts.replace(" ", "").partition("->")
        if "." in left or not output or left.count(",") != 1:
            _refuse(op, shapes, "two operands, '->' and no '...'")
        return (*left.split(","), output)
    if ranks[0] != ranks[1] or ranks[0] < 3:
        _refuse(op, shapes, "two tensors of the same rank, the batch first")
    batch = _LETTERS[: ranks[0] - 2]
    return f"{batch}xy", f"{batch}yz", f"{batch}xz"


def _dot(op, shapes, ranks):
    if op.normalize or max(ranks) > 3:
        _refuse(op, shapes, "normalize=False and at most one dimension besides the summed one")
    axes = (op.axes, op.axes) if isinstance(op.axes, int) else op.axes
    parts = []
    for rank, axis, free in zip(ranks, axes, "xz", strict=True):
        part = ["b"] + [free] * (rank - 1)
        part[axis % rank] = "y"
        parts.append("".join(part))
    return *parts, "b" + "".join(c for part in parts for c in part if c in "xz")


def _refuse(op, shapes, wanted: str):
    described = f"subscripts={op.subscripts!r}, " if hasattr(op, "subscripts") else ""
    raise UnsupportedError(
        f"{op.name!r} is no batched matrix product of two tensors. Received: {described}shapes "
        f"{[tuple(shape) for shape in shapes]}. Use {wanted}."
    )
