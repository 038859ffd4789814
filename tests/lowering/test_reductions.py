"""Parity: sums, largest and smallest values over axes."""

import numpy as np
import pytest
from keras import ops

from kqat.core.grid import Grid
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from tests.few import few_on_jax
from tests.lowering import harness
from tests.lowering.harness import grid, samples
from tests.lowering.parity import check, float_error, record

SHAPE = (3, 5, 7, 4)
REDUCTIONS = {
    "sum": lambda x: ops.sum(x, axis=1),
    "sum of places": lambda x: ops.sum(x, axis=(1, 2), keepdims=True),
    "sum of channels": lambda x: ops.sum(x, axis=-1),
    "minimum": lambda x: ops.min(x, axis=(1, 2)),
    "minimum kept": lambda x: ops.amin(x, axis=-1, keepdims=True),
    "maximum": lambda x: ops.amax(x, axis=1),
}


@pytest.mark.parametrize("case", few_on_jax(REDUCTIONS, "sum of places", "minimum kept", "maximum"))
def test_every_reduction(case):
    op, args, kwargs = record(REDUCTIONS[case], SHAPE)
    for low_x, so, low_y in ((-128, 0.31, -128), (0, 2.3, 0), (-90, 1.1, -60)):
        source = grid(8, 0.05, qmin=low_x)
        target = grid(8, so, qmin=low_y) if "sum" in case else source
        levels = samples(np.random.default_rng(0), source, SHAPE)
        check(op, (source,), target, levels, args=args, kwargs=kwargs, compile=low_x == -90)
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    # A float32 sum of 35 terms of order 1 at most, in another order.
    assert float_error(op, x, args=args, kwargs=kwargs) <= 1e-5


@pytest.mark.parametrize("bits", [8, 16])
def test_sums_beyond_the_exact_numbers(bits):
    op, args, kwargs = record(lambda x: ops.sum(x, axis=1), (2, 66000 if bits == 8 else 3000))
    wide = Grid(np.float32(0.01), np.float32(-(2**15)), np.float32(2**15 - 1))
    source = grid(8, 0.01, qmin=0) if bits == 8 else wide
    shape = (2, 65536 if bits == 8 else 3000)
    levels = np.random.default_rng(0).integers(int(source.qmax) - 9, int(source.qmax) + 1, shape)
    step = Step(op, (source,), Grid(np.float32(1234.5), np.float32(-(2**15)), np.float32(2**15 - 1)))
    step = harness.replace(step, args=args, kwargs=kwargs)
    lowering = lowering_for(op, 16)
    content, (ref,), out = harness.write(lowering, step, (None, shape[1]))
    theirs = harness.run(content, (levels + ref.zero_point).astype(ref.dtype)).astype(int)
    np.testing.assert_array_equal(harness.keras_levels(lowering, step, levels.astype(np.float32)), theirs)
    np.testing.assert_array_equal(theirs, np.rint(levels.sum(1) * 0.01 / 1234.5))
