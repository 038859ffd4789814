"""Writes a model through fake-quantized values and TensorFlow's own converter.

For models with layers that have no lowering. The only file that uses TensorFlow; it needs Keras on the
TensorFlow backend. Elsewhere it runs as a process of its own, `python -m kqat.export.converter`.
"""

import importlib
import json
import re
import runpy
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kqat.core.errors import ExportError
from kqat.core.optional import require
from kqat.export.floats.blocks import KERNELS, Block, Rounding, float_clone, read_blocks
from kqat.export.floats.integer_weights import fold_block, quantize_block
from kqat.export.writing.arrays import to_numpy_step
from kqat.layers.substitute import call_with
from kqat.lowering.base import Input
from kqat.saving import load_model
from kqat.transforms.copying import copy_weights
from kqat.transforms.graph import tensors_in, trace

_CODES = 255  # steps between the codes of an 8-bit tensor
_TOP, _WEIGHT_BITS = 127, 8  # of the symmetric weights that the converter writes


def convert(model: keras.Model, io: str = "float32") -> bytes:
    """Returns a model as a `.tflite` file that TensorFlow's converter made.

    Args:
        model: Float or quantized model.
        io: Type of the inputs and outputs: `"float32"`, `"int8"` or `"uint8"`.

    Raises:
        ImportError: TensorFlow is not installed.
        ExportError: Keras runs on another backend, or the converter fails.
    """
    tf: Any = require("tensorflow", extra="tensorflow")
    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"TensorFlow's converter needs Keras on TensorFlow. Received: {keras.backend.backend()!r}. "
            "Use KERAS_BACKEND=tensorflow."
        )
    replay = _Replay(model, tf)
    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in ((name, replay.graph.specs[t]) for t, name in replay.graph.input_names.items())
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it misses the ranges of inputs, which their quantizers know
            function = tf.function(replay.run, input_signature=specs, autograph=False)
            converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
            if replay.rounds:
                # Without it the converter leaves float operators between the quantized tensors.
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.inference_input_type = converter.inference_output_type = tf.dtypes.as_dtype(io)
            return converter.convert()
    except Exception as error:  # the converter raises bare Exceptions, and layers whatever they like
        raise ExportError(
            f"TensorFlow's converter refuses the model: {_reason(str(error))} Received: model "
            f"'{model.name}'. Replace the layer that it names, or leave it out of the file."
        ) from error


def _reason(text: str) -> str:
    """Returns what the converter complains about, without the many lines on where it was."""
    errors = re.findall(r"error: (.+)", text)
    return "; ".join(dict.fromkeys(errors or text.strip().splitlines()[-1:]))[:600]


class _Replay:
    """Runs a model on TensorFlow's tensors such that the converter writes its grids.

    Values and layers are made first: inside a `tf.function` there are only symbols.

    Args:
        model: The model; its variables become constants.
        tf: The module `tensorflow`.
    """

    def __init__(self, model: keras.Model, tf):
        self.tf, self.graph = tf, trace(model)
        self.rounds = False
        self.calls = [self._prepared(block) for block in read_blocks(self.graph)]

    def run(self, *inputs):
        """Returns the outputs of the model, flat."""
        values = dict(zip(self.graph.input_names, inputs, strict=True))
        for sources, targets, function in self.calls:
            results = keras.tree.flatten(function(*(values[tensor] for tensor in sources)))
            values.update(zip(targets, results, strict=True))
        return [values[tensor] for tensor in tensors_in(self.graph.outputs)]

    def _prepared(self, block: Block | Rounding):
        """Returns the tensors that a block reads and makes, and a function of the ones to the others."""
        if isinstance(block, Rounding):
            self.rounds = True
            return [block.source], [block.target], self._rounding(block.op.quantizer.grid())
        integer = block.quantizer is not None and isinstance(block.op, KERNELS)
        function = self._weighted(block) if integer else self._plain(block)
        clamp = {"relu": self.tf.nn.relu, "relu6": self.tf.nn.relu6}.get(block.activation)
        if clamp is None:
            return block.inputs, block.outputs, function
        return block.inputs, block.outputs, lambda *inputs: clamp(function(*inputs))

    def _rounding(self, grid):
        """Rounds onto a grid, as 8-bit codes whose ends do the clamping.

        A grid of fewer levels has its top on the highest code. Its bottom is the clamp at 0 that the
        converter fuses into the operator before, or a maximum.
        """
        scale, low, high = (float(keras.ops.convert_to_numpy(v)) for v in (grid.scale, grid.qmin, grid.qmax))
        if high - low > _CODES:
            return lambda x: x  # the converter knows 8 bits

        def rounded(x):
            return self.tf.quantization.fake_quant_with_min_max_args(x, (high - _CODES) * scale, high * scale)

        if high - low == _CODES:
            return rounded
        if low == 0:
            return lambda x: rounded(self.tf.nn.relu(x))
        return lambda x: rounded(self.tf.maximum(rounded(x), self.tf.constant(low * scale, x.dtype)))

    def _plain(self, block: Block):
        """A layer without integer weights, or one whose weights only get rounded; its state is constant."""
        layer = isinstance(block.op, keras.layers.Layer)
        op = _unrolled(block.op) if layer else block.op
        values = _values(op, block) if layer else []

        def run(*inputs):
            fill = lambda leaf: inputs[leaf.position] if isinstance(leaf, Input) else leaf  # noqa: E731
            args, kwargs = keras.tree.map_structure(fill, (block.args, block.kwargs))
            if not layer:
                return op(*args, **kwargs)
            pairs = [(variable, self.tf.constant(value)) for variable, value in values]
            outputs = call_with(op, op, pairs, *args, **kwargs)
            if block.norm is None:
                return outputs
            offset = block.norm.beta - block.norm.mean * block.norm.gain
            return outputs * self.tf.constant(block.norm.gain) + self.tf.constant(offset)

        return run

    def _weighted(self, block: Block):
        """A layer on its integer grid, BatchNorm folded in."""
        levels, steps, bias = _integers(block)
        axes = {axis % levels.ndim for axis in block.weight_axes or ()}
        layout = tuple(size if i in axes else 1 for i, size in enumerate(levels.shape))
        kernel = np.asarray(levels * steps.reshape(layout), np.float32)
        bias = np.asarray(bias, np.float32)
        op = float_clone(block, kernel, bias)
        if isinstance(op, keras.layers.Dense):
            return lambda x: self._dense(x, kernel, steps, bias)

        def run(x):
            weights = self._weights(op, kernel, steps)
            return call_with(op, op, [(op.kernel, weights), (op.bias, self.tf.constant(bias))], x)

        return run

    def _weights(self, op, kernel, steps):
        """A kernel that lies on its grids already; the converter wants the channels on the last axis."""
        if isinstance(op, keras.layers.Conv2DTranspose):
            return self.tf.constant(kernel)  # of its layout the converter takes float weights only
        if isinstance(op, keras.layers.DepthwiseConv1D | keras.layers.DepthwiseConv2D):
            flat = self._on_grids(kernel.reshape(*kernel.shape[:-2], 1, -1), steps)
            return self.tf.reshape(flat, kernel.shape)
        return self._on_grids(kernel, steps)

    def _on_grids(self, kernel, steps):
        top = self.tf.constant(np.float32(_TOP) * steps, "float32")
        return self.tf.quantization.fake_quant_with_min_max_vars_per_channel(
            self.tf.constant(kernel, "float32"), -top, top, num_bits=8, narrow_range=True
        )

    def _dense(self, x, kernel, steps, bias):
        """A 1x1 convolution: of a matrix product the converter takes one scale for all channels only."""
        kernel = self._on_grids(kernel[np.newaxis, np.newaxis], steps)
        rows = self.tf.reshape(x, (-1, 1, 1, x.shape[-1]))
        product = self.tf.nn.bias_add(self.tf.nn.conv2d(rows, kernel, 1, "VALID"), bias)
        return self.tf.reshape(product, (-1, *x.shape[1:-1], kernel.shape[-1]))


def _unrolled(op):
    """Returns a recurrent layer with its steps one after another, which the converter can write.

    Any layer without a loop is returned as it is.
    """
    if not any(isinstance(layer, keras.layers.RNN) for layer in op._flatten_layers()):
        return op
    config = op.get_config()
    if not _unroll(config):
        return op
    clone = type(op).from_config(config)
    clone.build(op.get_build_config()["input_shape"])
    copy_weights(op, clone)
    return clone


def _unroll(config) -> bool:
    """Sets `unroll` in a configuration, at any depth; returns whether that changed anything."""
    if not isinstance(config, dict):
        return False
    changed = config.get("unroll") is False
    if changed:
        config["unroll"] = True
    for value in config.values():
        changed |= _unroll(value)
    return changed


def _integers(block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns whole weights, their steps and the real bias; of an integer layer exactly what it computes."""
    if block.layer is None or not block.layer.is_integer:
        return fold_block(block, *quantize_block(block, _WEIGHT_BITS)[:2])
    step = to_numpy_step(block.layer.step())
    weights = step.weights
    bias = np.zeros_like(weights.scale) if weights.bias is None else weights.bias
    return weights.values, weights.scale, bias * (np.float64(step.inputs[0].scale) * weights.scale)


def _values(op, block: Block) -> list[tuple[keras.Variable, np.ndarray]]:
    """Returns every variable of a layer with its value, as the block knows it or rounded."""
    rounded = {id(getattr(op, name)): quantizer for name, quantizer in block.quantizers.items()}
    bias = id(getattr(op, "bias", None)) if block.norm is None and block.bias is not None else None
    values = []
    for variable in op.variables:
        value = keras.ops.convert_to_tensor(block.bias if id(variable) == bias else variable)
        if id(variable) in rounded:
            value = rounded[id(variable)](value, training=False)
        values.append((variable, keras.ops.convert_to_numpy(value)))
    return values


def main(job: str) -> None:
    """Converts what a job file describes: `model`, `output`, `io`, and where the user's classes are."""
    settings = json.loads(Path(job).read_text())
    modules: dict[str, Any] = {}
    for name, file in settings["modules"].items():
        modules[name] = (
            runpy.run_path(file, run_name="__mp_main__") if file else importlib.import_module(name)
        )
    classes = {}
    for key, (module, name) in settings["classes"].items():
        found = modules[module]
        classes[key] = found[name] if isinstance(found, dict) else getattr(found, name)
    model = load_model(settings["model"], custom_objects=classes)
    Path(settings["output"]).write_bytes(convert(model, settings["io"]))


if __name__ == "__main__":
    main(sys.argv[1])
