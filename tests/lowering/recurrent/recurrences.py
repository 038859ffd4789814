"""Steps of recurrent layers with random weights, and the levels that each side computes for them."""

from operator import attrgetter

import keras
import numpy as np
from keras import ops

from kqat.core.grid import Grid
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Input, Step, Weights
from kqat.lowering.registry import lowering_for
from kqat.lowering.treatment import treatment_for
from kqat.program.writer import Writer
from tests.lowering import harness
from tests.lowering.harness import grid


def step_of(layer, shape, bits=8, source=None, target=None, masked=False, seed=0) -> Step:
    """Returns the step of a layer with random integer weights and random biases (NumPy)."""
    rng = np.random.default_rng(seed)
    layer.build((None, *shape[1:]))
    for variable in layer.variables:
        if "bias" in variable.path:
            variable.assign(rng.normal(0, 0.5, variable.shape))
    weights = {}
    for name in treatment_for(layer).weights:
        size = attrgetter(name)(layer).shape
        top = 2 ** (bits - 1) - 1 if bits > 1 else 1
        values = rng.integers(-top, top + 1, size).astype(np.float32)
        scale = np.float32(rng.uniform(0.5, 2.0, (1, size[1])) / top / np.sqrt(size[0]) * 2)
        weights[name] = Weights(values, scale, None, bits)
    inputs = (source or grid(scale=0.02), None) if masked else (source or grid(scale=0.02),)
    kwargs = {"mask": Input(1)} if masked else {}
    output = target or grid(scale=1 / 128)
    return Step(layer, inputs, output, "linear", weights, (Input(0),), kwargs)


def reals(step: Step, shape, masked=False, seed=1):
    """Returns real inputs on the grid of a step, ends included, and a mask with holes."""
    rng = np.random.default_rng(seed)
    levels = harness.samples(rng, step.inputs[0], shape)
    found = [(levels * step.inputs[0].scale).astype(np.float32)]
    if masked:
        mask = rng.random(shape[:2]) < 0.7
        mask[0], mask[1] = False, True
        found.append(mask)
    return found


def _as_tensors(step: Step) -> Step:
    def convert(g):
        return g and Grid(*(ops.convert_to_tensor(v, "float32") for v in (g.scale, g.qmin, g.qmax)))

    tensor = ops.convert_to_tensor
    weights = {k: Weights(tensor(w.values), tensor(w.scale), None, w.bits) for k, w in step.weights.items()}
    output = convert(step.output)
    return Step(step.op, tuple(map(convert, step.inputs)), output, "linear", weights, step.args, step.kwargs)


def keras_levels(step: Step, inputs, compile=lambda function: function):
    """Returns the levels that the forward computes."""
    bound, lowering = _as_tensors(step), lowering_for(step.op)
    forward = compile(lambda *tensors: lowering.forward(bound, *tensors))
    y = ops.convert_to_numpy(forward(*map(ops.convert_to_tensor, inputs)))
    return np.rint(y / step.output.scale).astype(int)


def runtime_levels(step: Step, inputs):
    """Returns the levels that the runtime computes."""
    writer = Writer()
    kinds = ("float32", "bool")
    refs = [
        writer.input(f"x{i}", (None, *x.shape[1:]), kind, g)
        for i, (x, g, kind) in enumerate(zip(inputs, step.inputs, kinds, strict=False))
    ]
    out = lowering_for(step.op).emit(writer, step, refs, "y")
    content = to_tflite(writer.program(refs, [out], output_names=["y"]))
    codes = np.rint(inputs[0] / step.inputs[0].scale) + refs[0].zero_point
    result = harness.run(content, codes.astype(refs[0].dtype), *inputs[1:])
    return result.astype(int) - out.zero_point


def float_output(step: Step, inputs):
    """Returns what Keras's own layer computes on the rounded weights."""
    clone = type(step.op).from_config(step.op.get_config())
    clone.build((None, *inputs[0].shape[1:]))
    for old, new in zip(step.op.variables, clone.variables, strict=True):
        new.assign(old)
    for name, w in step.weights.items():
        attrgetter(name)(clone).assign(w.values * w.scale)
    mask = {"mask": ops.convert_to_tensor(inputs[1])} if len(inputs) > 1 else {}
    return keras.ops.convert_to_numpy(clone(ops.convert_to_tensor(inputs[0]), **mask))
