"""Parity: EinsumDense against the runtime, level for level."""

import numpy as np
import pytest
from keras import layers, ops

from kqat.errors import UnsupportedError
from kqat.layers.fake_quant import FakeQuant  # noqa: F401 - registers every lowering
from kqat.lowering.base import Step
from kqat.lowering.einsum_dense import projection
from kqat.lowering.registry import lowering_for
from tests.few import few_on_jax
from tests.lowering.harness import (
    assert_float_close,
    assert_same,
    built,
    fitting,
    grid,
    samples,
    tensors,
    weights,
)
from tests.lowering.parity import compiled, optimized

# equation: shape of the input without the batch, output shape, bias axes
CASES = {
    "abc,cde->abde": ((5, 6), (5, 2, 3), "de"),
    "abcd,cde->abe": ((5, 2, 3), (5, 4), "e"),
    "...x,xy->...y": ((3, 5), (4,), "y"),
    "abc,cd->abd": ((5, 6), (5, 7), "d"),
    "ab,bc->ac": ((9,), (4,), None),
    "abc,dc->abd": ((5, 6), (5, 7), "d"),
    "abc,bd->acd": ((5, 6), (6, 7), "d"),
    "abc,cde->adeb": ((5, 6), (2, 3, 5), "de"),
    "abcd,dbe->ace": ((2, 5, 3), (5, 4), "e"),
}


def layer_for(equation):
    shape, output, bias = CASES[equation]
    return built(layers.EinsumDense(equation, output, bias_axes=bias), (None, *shape)), shape


def step_for(equation, bits, activation="linear", signed=True):
    rng = np.random.default_rng(0)
    layer, shape = layer_for(equation)
    form = projection(layer, len(shape) + 1)
    sizes = dict(zip(form.kernel, layer.kernel.shape, strict=True))
    channels = int(np.prod([sizes[c] for c in form.free]))
    gi = grid(8, 0.05, signed)
    w = weights(rng, tuple(layer.kernel.shape), channels, bits)
    fan_in = int(np.prod([sizes[c] for c in form.summed]))
    out = fitting(8, activation == "linear", gi, w, fan_in)
    levels = samples(rng, gi, (7, *shape))
    return Step(layer, (gi,), out, activation, w), levels


KEPT = ("abc,cde->abde", "...x,xy->...y", "abc,bd->acd", "abcd,dbe->ace")


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("equation", few_on_jax(CASES, *KEPT))
def test_all_forms(equation, bits):
    for activation in ("linear", "relu"):
        step, levels = step_for(equation, bits, activation, signed=bits != 4)
        assert_same(lowering_for(step.op), step, levels)


@pytest.mark.parametrize("equation", ["abc,cde->adeb", "abcd,cde->abe"])
def test_compiled(equation):
    step, levels = step_for(equation, 8)
    x = ops.convert_to_tensor(levels * step.inputs[0].scale)
    bound, lowering = tensors(step), lowering_for(step.op)
    eager = ops.convert_to_numpy(lowering.forward(bound, x))
    for way in (compiled, optimized):
        got = ops.convert_to_numpy(way(lambda x: lowering.forward(bound, x))(x))
        np.testing.assert_array_equal(got, eager)
    wide = ops.convert_to_numpy(lowering.forward(bound, x, wide=True))
    np.testing.assert_array_equal(wide, eager)


@pytest.mark.parametrize("equation", CASES)
def test_float(equation):
    layer, shape = layer_for(equation)
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    assert_float_close(lowering_for(layer), layer, x)


@pytest.mark.parametrize(
    ("equation", "shape", "output", "bias"),
    [
        ("abc,bcd->abd", (5, 6), (5, 7), None),  # a kernel of its own for each place
        ("abc,cd->abd", (5, 6), (5, 7), "bd"),  # a bias for each place
        ("abc,cde->abed", (5, 6), (5, 3, 2), "ed"),  # a bias in another order than the kernel
        ("abc,cde->abde", (5, 6), (5, 2, 3), "e"),  # one bias for several channels
    ],
)
def test_what_is_no_dense_layer_is_refused(equation, shape, output, bias):
    layer = built(layers.EinsumDense(equation, output, bias_axes=bias), (None, *shape))
    with pytest.raises(UnsupportedError, match="Received: .*Use "):
        projection(layer, len(shape) + 1)
