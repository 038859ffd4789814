"""Lengths, unit vectors and logarithms of sums: against NumPy, and level for level in the runtime."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import ExportError
from kqat.lowering.registry import lowering_for
from tests.exactness import assert_exact, branches, images
from tests.lowering import harness
from tests.lowering.harness import grid, samples
from tests.lowering.parity import check, record

SHAPE = (64, 5, 12)


def _length(order, axis):
    return lambda x: np.linalg.norm(x, ord=order, axis=axis)


def _log_of_sum(x):
    top = x.max(axis=1, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis=1, keepdims=True)))[:, 0]


# What is recorded, what NumPy computes in float64, and the step of the output.
FUNCTIONS = {
    "length": (lambda x: ops.norm(x, axis=-1), _length(None, -1), 0.07),
    "sum of sizes": (lambda x: ops.norm(x, ord=1, axis=1), _length(1, 1), 0.1),
    "largest size": (lambda x: ops.norm(x, ord=np.inf, axis=-1), _length(np.inf, -1), 0.03),
    "length of matrices": (lambda x: ops.norm(x, axis=(1, 2)), _length("fro", (1, 2)), 0.15),
    "unit vectors": (
        lambda x: ops.normalize(x, axis=-1),
        lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True),
        1 / 128,
    ),
    "log of a sum": (lambda x: ops.logsumexp(x, axis=1), _log_of_sum, 0.05),
}

# On JAX Keras itself cannot run a recorded norm over one axis, whose list of axes it cannot hash.
WITHOUT = {"length", "sum of sizes", "largest size"} if keras.backend.backend() == "jax" else set()


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions(case):
    function, golden, so = FUNCTIONS[case]
    op, args, kwargs = record(function, SHAPE)
    for source in (grid(8, 0.05, qmin=-90), grid(4, 0.5)):
        levels = samples(np.random.default_rng(0), source, SHAPE)
        target = grid(8, so, qmin=-128 if case in ("unit vectors", "log of a sum") else 0)
        step = check(op, (source,), target, levels, args=args, kwargs=kwargs, compile=case == "length")
        ours = harness.keras_levels(lowering_for(op), step, levels)
        exact = golden((levels * source.scale).astype(np.float64)) / so
        assert np.abs(ours - np.clip(exact, target.qmin, target.qmax)).max() <= 0.501


@pytest.mark.parametrize("bits", [8, 4, pytest.param((8, 16), marks=pytest.mark.repeats)])
def test_between_weighted_layers(bits):
    functions = [function for name, (function, *_) in FUNCTIONS.items() if name not in WITHOUT]
    tail = lambda y: kl.Dense(2)(kl.Flatten()(ops.expand_dims(y, -1)))  # noqa: E731
    model = branches((5, 12), [lambda x, f=f: tail(f(kl.Dense(12)(x))) for f in functions])
    assert not kqat.plan(model, bits).float_layers
    assert_exact(model, bits, images(16, 5, 12))


@pytest.mark.once
@pytest.mark.parametrize(
    "function",
    [lambda x: ops.norm(x, axis=0), lambda x: ops.norm(x, ord=3, axis=1),
     lambda x: ops.logsumexp(x), lambda x: ops.normalize(x, axis=-1, order=1)],
)  # fmt: skip
def test_what_has_no_kernel(function):
    assert kqat.plan(branches((5, 12), [function, kl.Dense(2)])).float_layers


@pytest.mark.once
@pytest.mark.parametrize(
    "function", [lambda x: ops.norm(x, ord=3, axis=1), lambda x: ops.normalize(x, axis=-1, order=1)]
)
def test_other_orders_are_not_written_as_lengths(function):
    """In float neither, where a plan asks for nothing."""
    with pytest.raises(ExportError, match="no way yet to write"):
        kqat.export_tflite(branches((5, 12), [function]), fallback="error")
