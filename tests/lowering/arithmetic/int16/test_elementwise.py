"""Parity: elementwise arithmetic, means and moves between int16 tensors against the runtime."""

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from tests.lowering import harness
from tests.lowering.arithmetic.int16 import wide
from tests.lowering.parity import record

SCALES = [(1e-4, 3e-4, 4e-4), (2e-4, 2e-4, 2e-4), (5e-4, 1e-7, 6e-4), (0.25, 0.125, 0.5), (3e-5, 7e-5, 9e-6)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def check(rng, op, sources, target, shapes, activation="linear", args=None, kwargs=None, eager=False):
    """Checks an operation on random levels, among them both ends of the grids against one another."""
    if args is None:
        tensors = [Input(i) for i in range(len(sources))]
        args = (tensors,) if len(tensors) > 1 else tuple(tensors)
    step = Step(op, tuple(sources), target, activation, None, args, kwargs or {})
    levels = [harness.samples(rng, g, shape) for g, shape in zip(sources, shapes, strict=True)]
    for number, (x, g) in enumerate(zip(levels, sources, strict=True)):
        ends = [float(g.qmin), float(g.qmax)]
        x.reshape(-1)[:4] = [ends[0], ends[1], ends[number % 2], ends[1 - number % 2]]
    return wide.check(lowering_for(op, 16), step, *levels, eager=eager)


@pytest.mark.parametrize("layer", [kl.Add, kl.Subtract])
@pytest.mark.parametrize("scales", SCALES)
def test_sums(rng, layer, scales):
    a, b, out = (wide.grid(s) for s in scales)
    activation = "relu" if scales[0] == scales[1] else "linear"
    check(rng, layer(), (a, b), out, [(200, 50)] * 2, activation, eager=scales == SCALES[0])


@pytest.mark.parametrize("scales", SCALES)
def test_products(rng, scales):
    a, b, _ = (wide.grid(s) for s in scales)
    out = wide.grid(scales[0] * scales[1] * 20000)
    check(rng, kl.Multiply(), (a, b), out, [(200, 50)] * 2, eager=scales == SCALES[0])


def test_sums_of_three_and_of_narrow_tensors(rng):
    grids = wide.grid(1e-4), wide.grid(2e-4), wide.grid(5e-5)
    check(rng, kl.Add(), grids, wide.grid(2e-4), [(64, 30)] * 3)
    mixed = wide.grid(1e-4), harness.grid(8, 0.02, qmin=-90)
    for layer in (kl.Add, kl.Subtract):
        check(rng, layer(), mixed, wide.grid(1.5e-4), [(64, 30)] * 2)
        check(rng, layer(), mixed, harness.grid(8, 0.03), [(64, 30)] * 2)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + 0.3,
        lambda x: 1.0 - x,
        lambda x: x * np.float32([0.1, -0.7, 0.4]),
        lambda x: x + np.float32([0.3, -1.0, 2.0]),
    ],
)
def test_constants(rng, function):
    op, args, kwargs = record(function, (None, 3))
    check(rng, op, [wide.grid(1e-4)], wide.grid(1.3e-4), [(300, 3)], args=args, kwargs=kwargs)


@pytest.mark.parametrize("ratio", [1.0, 0.4, 1.7])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: kl.AveragePooling2D(2), (4, 6, 7, 3)),
        (lambda: kl.AveragePooling2D(3, 2, "same"), (4, 6, 7, 3)),
        (lambda: kl.AveragePooling1D(5, 1), (4, 9, 3)),
        (lambda: kl.GlobalAveragePooling2D(), (8, 33, 31, 4)),
        (lambda: kl.GlobalAveragePooling2D(keepdims=True), (8, 4, 4, 4)),
        (lambda: kl.GlobalAveragePooling1D(), (8, 7, 4)),
    ],
)
def test_means(rng, layer, shape, ratio):
    check(rng, layer(), [wide.grid(1e-3)], wide.grid(1e-3 * ratio), [shape])


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (lambda: kl.MaxPooling2D(2), [(2, 6, 7, 3)]),
        (lambda: kl.GlobalMaxPooling2D(), [(6, 6, 7, 3)]),
        (lambda: kl.Flatten(), [(2, 6, 7, 3)]),
        (lambda: kl.Reshape((21, 6)), [(2, 6, 7, 3)]),
        (lambda: kl.Permute((2, 3, 1)), [(2, 6, 7, 3)]),
        (lambda: kl.ZeroPadding2D(1), [(2, 6, 7, 3)]),
        (lambda: kl.Cropping2D(1), [(2, 6, 7, 3)]),
        (lambda: kl.RepeatVector(3), [(4, 6)]),
        (lambda: kl.Concatenate(), [(2, 6, 3), (2, 6, 4)]),
    ],
)
def test_moves(rng, layer, shapes):
    grid = wide.grid(1e-3)
    layer = layer()
    args = ([Input(0), Input(1)],) if len(shapes) > 1 else (Input(0),)
    step = Step(layer, (grid,) * len(shapes), grid, "linear", None, args)
    levels = [harness.samples(rng, grid, shape) for shape in shapes]
    theirs = wide.runtime_levels(lowering_for(layer, 16), step, *levels)
    ours = keras.ops.convert_to_numpy(layer(levels if len(levels) > 1 else levels[0]))
    np.testing.assert_array_equal(theirs, ours)


def test_narrow_grids_in_int16_are_refused():
    layer = harness.built(kl.Dense(2), (None, 3))
    narrow = harness.grid(12, 1e-3)
    weights = harness.weights(np.random.default_rng(0), (3, 2), 2)
    step = Step(layer, (wide.grid(1e-3),), narrow, "linear", weights)
    with pytest.raises(ValueError, match="Received: levels -2048 to 2047. Use 8 bits or less, or 16"):
        harness.write(lowering_for(layer, 16), step, (None, 3))


def test_overflowing_sums_are_refused():
    layer = harness.built(kl.Dense(2), (None, 3))
    weights = harness.weights(np.random.default_rng(0), (3, 2), 2)
    step = Step(layer, (wide.grid(1e-3),), wide.grid(1e-12), "linear", weights)
    with pytest.raises(ValueError, match="can leave the integers of the int16 kernels"):
        harness.write(lowering_for(layer, 16), step, (None, 3))
