"""Parity: products of two activations against the runtime, level for level."""

import numpy as np
import pytest
from keras import layers, ops

from kqat.errors import UnsupportedError
from kqat.lowering.arithmetic.contraction import contraction
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from tests.few import few_on_jax
from tests.lowering.harness import grid, keras_levels, runtime_levels, samples, write
from tests.lowering.parity import check, float_error, is_delegated, record

PAIR = (Input(0), Input(1))
TABLE = ([Input(0), Input(1)],)


def operation(function):
    return record(function, (None, 2, 3, 3))[0]


MATMUL = operation(lambda x: ops.matmul(x, x))


def einsum(subscripts):
    letters = subscripts.split(",")[0]
    return record(lambda x: ops.einsum(subscripts, x, x), (None, *[2] * (len(letters) - 1)))[0]


CASES = {
    "matmul": (MATMUL, PAIR, (5, 7, 6), (5, 6, 4)),
    "matmul of heads": (MATMUL, PAIR, (5, 2, 3, 8), (5, 2, 8, 4)),
    "dot of vectors": (layers.Dot(1), TABLE, (9, 12), (9, 12)),
    "dot of rows": (layers.Dot(-1), TABLE, (5, 4, 6), (5, 3, 6)),
    "dot of columns": (layers.Dot(1), TABLE, (5, 6, 4), (5, 6, 3)),
    "dot with a vector": (layers.Dot((2, 1)), TABLE, (5, 4, 6), (5, 6)),
}
EINSUMS = {
    "bik,bkj->bij": ((5, 3, 4), (5, 4, 6)),
    "bik,bjk->bij": ((5, 3, 4), (5, 6, 4)),
    "bki,bkj->bji": ((5, 4, 3), (5, 4, 6)),
    "bqhd,bkhd->bhqk": ((3, 4, 2, 5), (3, 6, 2, 5)),
    "bhqk,bkhd->bqhd": ((3, 2, 4, 5), (3, 5, 2, 6)),
    "bijk,bkjl->bil": ((3, 4, 2, 5), (3, 5, 2, 6)),
    "bi,bi->b": ((9, 12), (9, 12)),
}
CASES |= {s: (einsum(s), PAIR, *shapes) for s, shapes in EINSUMS.items()}


def sides(bits, signed):
    return grid(bits, 10 / 2**bits, signed[0]), grid(bits, 7.3 / 2**bits, signed[1])


def target(bits, inputs, terms):
    spread = [float(g.scale) * np.hypot(float(g.levels) / 3.5, float(g.qmax + g.qmin) / 2) for g in inputs]
    positive = all(g.qmin == 0 for g in inputs)
    width = 2 * terms if positive else 4 * terms**0.5
    return grid(bits, width * spread[0] * spread[1] / 2**bits, signed=not positive)


KEPT = ("matmul", "dot of vectors", "dot with a vector", "bik,bkj->bij", "bqhd,bkhd->bhqk", "bhqk,bkhd->bqhd")


@pytest.mark.parametrize("case", few_on_jax(CASES, *KEPT))
def test_all_forms(case):
    op, args, *shapes = CASES[case]
    rng = np.random.default_rng(0)
    for bits, signed in ((8, (True, True)), (8, (False, True)), (4, (True, False)), (2, (False, False))):
        inputs = sides(bits, signed)
        levels = [samples(rng, g, shape) for g, shape in zip(inputs, shapes, strict=True)]
        output = target(bits, inputs, 8)
        check(op, inputs, output, *levels, args=args, compile=bits == 4)


@pytest.mark.parametrize("low", [0, -1, -3, -90, -127, -128, -129, -255])
def test_a_right_operand_without_room_for_code_0_is_rounded(low):
    rng = np.random.default_rng(0)
    inputs = grid(8, 0.05, qmin=-77), grid(8, 0.031, qmin=low)
    levels = [samples(rng, g, shape) for g, shape in zip(inputs, [(9, 7, 16), (9, 16, 5)], strict=True)]
    step = check(MATMUL, inputs, grid(8, 1.3), *levels, args=PAIR)
    assert is_delegated(step, (None, 7, 16), (None, 16, 5))


def test_ties():
    rng = np.random.default_rng(0)
    inputs = grid(8, 0.5), grid(8, 0.25)
    levels = [samples(rng, g, shape) for g, shape in zip(inputs, [(300, 7, 16), (300, 16, 5)], strict=True)]
    acc = levels[0] @ levels[1]
    assert np.sum(acc / 512 % 1 == 0.5) >= 5
    check(MATMUL, inputs, grid(8, 64.0), *levels, args=PAIR)


def test_sums_beyond_float32():
    shapes = (2, 3, 600), (2, 600, 2)
    inputs = grid(8, 1.0, signed=False), grid(8, 1.0)
    rng = np.random.default_rng(0)
    a, b = (
        np.clip(rng.normal(high - 2, 2, s).round(), 0, high)
        for s, high in zip(shapes, (255, 127), strict=True)
    )
    assert (a @ b).min() > 2**24
    step = Step(MATMUL, inputs, grid(8, 2.0**18, qmin=0), args=PAIR)
    levels = [x.astype(np.float32) for x in (a, b)]
    lowering = lowering_for(MATMUL)
    np.testing.assert_array_equal(
        keras_levels(lowering, step, *levels), runtime_levels(lowering, step, *levels)
    )


@pytest.mark.parametrize("case", CASES)
def test_float(case):
    op, args, *shapes = CASES[case]
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    assert float_error(op, x, y, args=args) <= 1e-5  # order of at most 12 additions of numbers of order 1


NO_PRODUCTS = ["bik,bkj->ijb", "bik,bkj", "...k,kj->...j", "bii,bik->bk", "bikj,bkj->bj"]


@pytest.mark.parametrize("subscripts", NO_PRODUCTS)
def test_what_is_no_batched_product_is_refused(subscripts):
    op = einsum("bi,bi->b")
    op.subscripts = subscripts
    shapes = [(None, *[2] * (len(part) - 1)) for part in subscripts.split("->")[0].split(",")]
    with pytest.raises(UnsupportedError, match="no batched matrix product"):
        contraction(op, shapes)


def test_unequal_stacks_are_refused():
    step = Step(MATMUL, sides(8, (True, True)), grid(8, 1.0), args=PAIR)
    with pytest.raises(UnsupportedError, match="without broadcasting"):
        write(lowering_for(MATMUL), step, (None, 2, 3, 4), (None, 1, 4, 3))


def test_normalized_dot_is_refused():
    step = Step(layers.Dot(1, normalize=True), sides(8, (True, True)), grid(8, 1.0), args=TABLE)
    with pytest.raises(UnsupportedError, match="normalize=False"):
        write(lowering_for(step.op), step, (None, 4), (None, 4))
