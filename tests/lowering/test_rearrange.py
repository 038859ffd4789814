"""Parity: operations that move values."""

import keras
import numpy as np
import pytest
from keras import ops

from kqat.errors import UnsupportedError
from kqat.lowering.registry import lowering_for
from tests.lowering import harness
from tests.lowering.harness import grid, samples
from tests.lowering.parity import check, float_error, record

SHAPE = (3, 5, 2, 4)
MOVES = {
    "flip": lambda x: ops.flip(x, axis=1),
    "flip two": lambda x: ops.flip(x, axis=(1, 3)),
    "tile": lambda x: ops.tile(x, (1, 2, 1, 3)),
    "tile the last": lambda x: ops.tile(x, 2),
    "repeat": lambda x: ops.repeat(x, 3, axis=1),
    "repeat the last": lambda x: ops.repeat(x, 2, axis=-1),
    "swap": lambda x: ops.swapaxes(x, 1, -1),
}


@pytest.mark.parametrize("case", MOVES)
def test_every_move(case):
    op, args, kwargs = record(MOVES[case], (None, *SHAPE[1:]))
    for target in (grid(8, 0.05, qmin=-90), grid(8, 0.071, qmin=-90)):
        source = grid(8, 0.05, qmin=-90)
        levels = samples(np.random.default_rng(0), source, SHAPE)
        check(op, (source,), target, levels, args=args, kwargs=kwargs, compile=False)
    assert float_error(op, levels, args=args, kwargs=kwargs) == 0


@pytest.mark.parametrize("axis", [1, -1])
def test_stack(axis):
    symbols = [keras.KerasTensor((None, 4)) for _ in range(3)]
    op = ops.stack(symbols, axis=axis)._keras_history.operation
    grids = [grid(8, 0.05), grid(8, 0.05), grid(8, 0.071, qmin=-20)]
    rng = np.random.default_rng(0)
    levels = [samples(rng, one, (9, 4)) for one in grids]
    check(op, grids, grid(8, 0.061), *levels, compile=False)
    check(op, grids[:2], grids[0], *levels[:2], compile=False)


def test_unequal_repeats_are_refused():
    op, args, kwargs = record(lambda x: ops.repeat(x, [1, 2], axis=1), (None, 2))
    step = harness.replace(harness.float_step(op), args=args, kwargs=kwargs)
    with pytest.raises(UnsupportedError, match="Use one number of repeats"):
        harness.write(lowering_for(op), step, (None, 2))
