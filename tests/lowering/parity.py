"""The parity check of operations without weights: eager, compiled and in the runtime, level for level."""

import keras
import numpy as np
from keras import ops

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from tests.lowering import harness


def compiled(function):
    """Returns `function` compiled by XLA, which may fuse and reorder; on PyTorch as it is."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    return function


def optimized(function):
    """Returns `function` as a TensorFlow graph, which its optimizer rewrites; elsewhere as `compiled`."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return compiled(function)


def compiled_levels(lowering, step, *levels):
    """Levels that the compiled Keras forward computes, scales being inputs as they are in a model."""
    fields = ("scale", "qmin", "qmax")
    grids = [*step.inputs, step.output]
    numbers = [[np.float32(getattr(g, field)) for field in fields] for g in grids]

    def forward(numbers, *inputs):
        *sources, target = [type(g)(*values) for g, values in zip(grids, numbers, strict=True)]
        bound = Step(step.op, tuple(sources), target, step.activation, None, step.args, step.kwargs)
        return lowering.forward(bound, *inputs)

    numbers = keras.tree.map_structure(ops.convert_to_tensor, numbers)
    reals = [ops.convert_to_tensor(x * g.scale) for x, g in zip(levels, step.inputs, strict=True)]
    y = ops.convert_to_numpy(compiled(forward)(numbers, *reals))
    return np.rint(y / step.output.scale).astype(int)


def check(op, inputs, output, *levels, activation="linear", args=None, kwargs=None, compile=True):
    """Demands equal levels from the eager and the compiled forward and from the runtime."""
    if args is None:
        tensors = [Input(i) for i in range(len(inputs))]
        args = tuple(tensors) if len(tensors) == 1 else (tensors,)
    step = Step(op, tuple(inputs), output, activation, None, args, kwargs or {})
    lowering = lowering_for(op)
    eager = harness.assert_same(lowering, step, *levels)
    if compile:
        np.testing.assert_array_equal(compiled_levels(lowering, step, *levels), eager)
    return step


def every_level(grid, rows=1):
    """Every level of `grid` in each of `rows` rows, in shifted order; shape `(rows, 2^bits)`."""
    levels = np.arange(int(grid.qmin), int(grid.qmax) + 1, dtype=np.float32)
    return np.stack([np.roll(levels, shift) for shift in range(rows)])


def every_pair(a, b):
    """Every level of `a` against every level of `b`; two arrays of shape `(1, n)`."""
    pairs = np.meshgrid(every_level(a)[0], every_level(b)[0], indexing="ij")
    return tuple(x.reshape(1, -1) for x in pairs)


def record(function, shape):
    """Returns the operation that `function` records on a symbolic tensor, with its args and kwargs."""
    x = keras.KerasTensor((None, *shape[1:]))
    y = function(x)
    y = y[0] if isinstance(y, list | tuple) else y
    op = y._keras_history.operation
    call = op._inbound_nodes[-1].arguments
    places = (call.args, call.kwargs)
    return op, *keras.tree.map_structure(lambda leaf: Input(0) if leaf is x else leaf, places)


def float_error(op, *arrays, args=None, kwargs=None):
    """Returns the largest difference between the float operator in the file and in Keras."""
    if args is None:
        tensors = [Input(i) for i in range(len(arrays))]
        args = tuple(tensors) if len(tensors) == 1 else (tensors,)
    step = Step(op, (None,) * len(arrays), None, "linear", None, args, kwargs or {})
    content, *_ = harness.write(lowering_for(op), step, *((None, *x.shape[1:]) for x in arrays))
    bound = keras.tree.map_structure(
        lambda leaf: arrays[leaf.position] if isinstance(leaf, Input) else leaf, (step.args, step.kwargs)
    )
    ours = ops.convert_to_numpy(op(*bound[0], **bound[1]))
    theirs = harness.run(content, *arrays)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max())


def is_delegated(step, *shapes):
    """Returns whether the default delegate takes the whole file of a step."""
    return harness.fully_delegated(harness.write(lowering_for(step.op), step, *shapes)[0])
