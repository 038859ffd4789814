"""Parity: the softmax of attention under every kind of mask, against the runtime and against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from kqat.layers.fake_quant import FakeQuant  # noqa: F401 - registers every lowering
from kqat.lowering.activations.softmax import PROBABILITY
from kqat.lowering.base import Input, Step
from kqat.lowering.probabilities import Probabilities
from kqat.lowering.registry import lowering_for
from tests.lowering.harness import grid, keras_levels, samples, tensors, write
from tests.lowering.harness import run as run_file
from tests.lowering.parity import check, compiled, optimized

SHAPE = (6, 2, 5, 7)
CONSTANT = {
    "none": {},
    "causal": {"causal": True},
    "window": {"window": 2},
    "constant": {"constant": (np.arange(35).reshape(5, 7) % 3 > 0).tolist()},
    "all": {"causal": True, "window": 3, "empty": True},
    "empty rows": {"constant": (np.arange(5)[:, None] > 1).tolist(), "empty": True},
    "even rows": {"constant": (np.arange(5)[:, None] > 1).tolist()},
}
MASKS = {"query": (6, 5), "key": (6, 7), "attention": (6, 5, 7)}


def golden(op, levels, scale, kept):
    """The same in float64, to within the rounding of the table."""
    scores = np.where(kept, np.float64(levels) * scale * op.factor, -np.inf)
    alive = kept.any(-1, keepdims=True)
    scores = np.where(alive, scores, 0.0)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    p = e / e.sum(-1, keepdims=True)
    return np.where(alive, p, 0.0 if op.empty else p)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", CONSTANT)
def test_constant_masks(name, bits):
    op = Probabilities(0.35, **CONSTANT[name])
    source = grid(bits, 12 / 2**bits)
    levels = samples(np.random.default_rng(0), source, SHAPE)
    step = check(op, (source,), PROBABILITY, levels)
    kept = op.fixed(SHAPE)
    kept = np.ones(SHAPE, bool) if kept is None else np.broadcast_to(kept > 0, SHAPE)
    got = keras_levels(lowering_for(op), step, levels)
    if name != "even rows":
        assert np.all(got[~kept] == 0)
    # Half a step of 1/256 of rounding, and the top level 255/256.
    np.testing.assert_allclose(got / 256, golden(op, levels, source.scale, kept), atol=1.01 / 256)


@pytest.mark.parametrize("kinds", [("key",), ("query", "key"), ("attention",), ("key", "attention")])
def test_masks_that_come_in(kinds):
    rng = np.random.default_rng(0)
    op = Probabilities(0.35, causal=len(kinds) == 1, masks=kinds)
    source = grid(8, 0.05)
    levels = samples(rng, source, SHAPE)
    masks = [rng.random(MASKS[kind]) > 0.3 for kind in kinds]
    places = [Input(i) for i in range(len(kinds) + 1)]
    step = Step(op, (source, *[None] * len(kinds)), PROBABILITY, args=(places,))
    content = _file(op, step, levels, masks)
    theirs = run_file(content, levels.astype(np.int8), *masks).astype(int) + 128
    reals = [ops.convert_to_tensor(levels * source.scale), *map(ops.convert_to_tensor, masks)]
    bound, lowering = tensors(step), lowering_for(op)
    for way in (lambda f: f, compiled, optimized):
        ours = ops.convert_to_numpy(way(lambda *x: lowering.forward(bound, *x))(*reals))
        np.testing.assert_array_equal(np.rint(ours * 256).astype(int), theirs)


def _file(op, step, levels, masks):
    from kqat.formats.tflite.write import to_tflite
    from kqat.program.writer import Writer

    writer = Writer()
    scores = writer.input("x0", (None, *levels.shape[1:]), "float32", step.inputs[0])
    others = [writer.input(f"x{i}", (None, *m.shape[1:]), "bool") for i, m in enumerate(masks, 1)]
    out = lowering_for(op).emit(writer, step, [scores, *others], "y")
    return to_tflite(writer.program([scores, *others], [out], output_names=["y"]))


@pytest.mark.parametrize("name", CONSTANT)
def test_float(name):
    op = Probabilities(0.35, **CONSTANT[name])
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32) * 4
    content, *_ = write(lowering_for(op), Step(op, (None,), None, args=(Input(0),)), (None, *SHAPE[1:]))
    # Two float32 exponentials of two libraries differ by a few units in the last place.
    np.testing.assert_allclose(run_file(content, x), ops.convert_to_numpy(op(x)), atol=2e-6)


def test_config_round_trip():
    op = Probabilities(0.5, causal=True, window=3, masks=("key",), empty=True, name="p")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(op))
    assert again.get_config() == op.get_config()
