"""Parity: zero padding."""

import numpy as np
import pytest
from keras import layers, ops

from kqat.errors import UnsupportedError
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from tests.lowering.harness import grid, samples, write
from tests.lowering.parity import check, float_error, is_delegated, record

SHAPE = (3, 5, 6, 2)


@pytest.mark.parametrize("source", [grid(8, 0.1, qmin=-77), grid(4, 0.1, signed=False), grid(2, 0.1)])
def test_layers_pad_with_real_zero(source):
    rng = np.random.default_rng(0)
    image = layers.ZeroPadding2D(((1, 2), (0, 3)))
    step = check(image, (source,), source, samples(rng, source, SHAPE), compile=False)
    assert is_delegated(step, (None, *SHAPE[1:]))
    check(layers.ZeroPadding1D((2, 1)), (source,), source, samples(rng, source, (3, 5, 2)), compile=False)


def test_operation():
    op, args, kwargs = record(lambda x: ops.pad(x, ((0, 0), (1, 1), (2, 0), (0, 3))), SHAPE)
    levels = samples(np.random.default_rng(0), grid(), SHAPE)
    check(op, (grid(),), grid(), levels, args=args, kwargs=kwargs, compile=False)
    assert float_error(op, levels, args=args, kwargs=kwargs) == 0


def test_other_numbers_are_refused():
    """Models have a `ConstantPad` in place of it, which has a grid of its own."""
    op, args, kwargs = record(
        lambda x: ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1.0), SHAPE
    )
    with pytest.raises(UnsupportedError, match="constant_values=1.0"):
        write(lowering_for(op), Step(op, (grid(),), grid(), args=args, kwargs=kwargs), (None, *SHAPE[1:]))
