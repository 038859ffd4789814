"""Runs one step in Keras and in the runtime, and compares the levels."""

from dataclasses import replace

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import ops

from kqat.core.grid import Grid
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Step, Weights
from kqat.program.writer import Writer
from tests.shapes import assert_declared_shapes


def grid(bits=8, scale=0.05, signed=True, qmin=None):
    """A per-tensor grid of 2^bits levels; `qmin` overrides the choice of the lowest level."""
    count = 2**bits
    low = qmin if qmin is not None else (-count // 2 if signed else 0)
    return Grid(np.float32(scale), np.float32(low), np.float32(low + count - 1))


def weights(rng, kernel_shape, channels, bits=8, scale=None, bias_std=200.0, dead=()):
    """Random integer weights whose last axes hold `channels`; channels in `dead` are all zero."""
    top = 2 ** (bits - 1) - 1 if bits > 1 else 1
    values = rng.integers(-top, top + 1, kernel_shape).astype(np.float32)
    for channel in dead:
        values.reshape(-1, channels)[:, channel] = 0
    if scale is None:
        scale = rng.uniform(0.002, 0.02, channels)
    bias = np.rint(rng.normal(0, bias_std, channels)).astype(np.float32)
    return Weights(values, np.broadcast_to(np.float32(scale), (channels,)).copy(), bias, bits)


def fitting(bits, signed, gi, w, fan_in):
    """An output grid that random sums over `fan_in` inputs fill, with some saturation."""
    inputs = float(gi.levels) ** 2 / 12 + float(gi.qmin + gi.qmax) ** 2 / 4
    spread = np.sqrt(max(np.mean(w.values**2), 0.1) * inputs * fan_in)
    spread *= float(gi.scale) * float(np.median(w.scale))
    return grid(bits, 2 * spread / 2 ** (bits - 1), signed)


def samples(rng, grid, shape):
    """Levels that visit the whole grid, both ends included."""
    levels = rng.integers(int(grid.qmin), int(grid.qmax) + 1, shape)
    levels.flat[0], levels.flat[-1] = int(grid.qmin), int(grid.qmax)
    return levels.astype(np.float32)


def keras_levels(lowering, step, *levels, **kwargs):
    """Levels that the Keras forward computes."""
    reals = [ops.convert_to_tensor(x * g.scale) for x, g in zip(levels, step.inputs, strict=True)]
    y = ops.convert_to_numpy(lowering.forward(tensors(step), *reals, **kwargs))
    return np.rint(y / step.output.scale).astype(int)


def tensors(step):
    """The step with backend tensors in its fields."""

    def convert(g):
        return g and Grid(*(ops.convert_to_tensor(v, "float32") for v in (g.scale, g.qmin, g.qmax)))

    w = step.weights
    if w is not None:
        bias = None if w.bias is None else ops.convert_to_tensor(w.bias)
        w = replace(
            w, values=ops.convert_to_tensor(w.values), scale=ops.convert_to_tensor(w.scale), bias=bias
        )
    return replace(step, inputs=tuple(map(convert, step.inputs)), output=convert(step.output), weights=w)


def write(lowering, step, *shapes):
    """Returns the file of one step with int8 (or float) inputs and outputs, and the output's reference."""
    writer = Writer()
    refs = [
        writer.input(f"x{i}", shape, "float32", g)
        for i, (shape, g) in enumerate(zip(shapes, step.inputs, strict=True))
    ]
    out = lowering.emit(writer, step, refs, "y")
    content = to_tflite(writer.program(refs, [out], output_names=["y"]))
    assert_declared_shapes(content)
    return content, refs, out


def run(content, *arrays):
    """Runs a file with the default resolver on one thread, resized to the arrays' batch."""
    runner = Interpreter(model_content=content, num_threads=1).get_signature_runner()
    return runner(**{f"x{i}": array for i, array in enumerate(arrays)})["y"]


def runtime_levels(lowering, step, *levels):
    """Levels that the runtime computes."""
    content, refs, out = write(lowering, step, *((None, *x.shape[1:]) for x in levels))
    codes = [(x + ref.zero_point).astype(np.int8) for x, ref in zip(levels, refs, strict=True)]
    result = run(content, *codes)
    assert result.dtype == np.int8
    return result.astype(int) - out.zero_point


def fully_delegated(content):
    """Whether the default delegate took the whole graph, from its inputs to its outputs, in one piece."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (*_, last) = details = interpreter._get_ops_details()
    ends = [{tensor["index"] for tensor in side} for side in _ends(interpreter)]
    only = sum(node["op_name"] == "DELEGATE" for node in details) == 1
    return only and ends[0] <= set(last["inputs"]) and ends[1] <= set(last["outputs"])


def _ends(interpreter):
    return interpreter.get_input_details(), interpreter.get_output_details()


def assert_same(lowering, step, *levels, **kwargs):
    """Demands equal levels in Keras and in the runtime, and that the test saw more than one value."""
    ours, theirs = keras_levels(lowering, step, *levels, **kwargs), runtime_levels(lowering, step, *levels)
    assert ours.shape == theirs.shape
    wrong = np.flatnonzero(ours != theirs)
    assert wrong.size == 0, (
        f"{wrong.size}/{ours.size} levels differ, at most by {np.abs(ours - theirs).max()}; "
        f"first: keras {ours.flat[wrong[0]]}, runtime {theirs.flat[wrong[0]]}"
    )
    low, high = int(step.output.qmin), int(step.output.qmax)
    assert low <= ours.min() < ours.max() <= high
    return ours


def built(layer, shape):
    """A layer built for inputs of `shape` (batch first)."""
    if not layer.built:
        layer.build(shape)
    return layer


def float_step(layer):
    """The step of a layer that stays float."""
    return Step(layer, (None,), None)


def assert_float_close(lowering, layer, x):
    """Demands that a float layer's file computes the layer, up to the order of float32 sums."""
    content, _, _ = write(lowering, float_step(layer), (None, *x.shape[1:]))
    ours = ops.convert_to_numpy(layer(x))
    # Sums of up to a few hundred terms of order 1: the order of additions moves them by about 1e-6.
    np.testing.assert_allclose(run(content, x), ours, rtol=1e-5, atol=1e-5)
