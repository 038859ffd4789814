"""Small files with weights of few bits, written without Keras, and plain LiteRT to run them."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kqat.core.grid import Grid
from kqat.formats.tflite.write import to_tflite
from kqat.program.writer import Writer
from kqat_runtime.running.runtime import delegation

CHANNELS = 16


def grid(scale, bits):
    top = np.float32(2 ** (bits - 1) - 1)
    return Grid(np.float32(scale), -top - 1 if bits == 8 else -top, top)


def draw(rng, shape, bits):
    """Whole numbers of a narrow grid of `bits` bits, every level among them; in 1 bit only -1 and 1."""
    limit = 2 ** (bits - 1) - 1
    levels = np.arange(-limit, limit + 1) if bits > 1 else np.array([-1, 1])
    values = rng.choice(levels, shape)
    values.flat[: levels.size] = levels
    return values.astype(np.int8)


class Builder:
    """A chain of quantized layers on (None, 8, 8, channels), or on vectors."""

    def __init__(self, shape, seed=0, activation_bits=8):
        self.writer, self.rng, self.bits = Writer(), np.random.default_rng(seed), activation_bits
        self.x = self.input = self.writer.input("x", (None, *shape), grid=grid(0.05, activation_bits))
        self.count = 0

    def layer(self, kind, bits, values=None):
        """Appends CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED or TRANSPOSE_CONV."""
        inside, self.count = self.x.shape[-1], self.count + 1
        shapes = {
            "FULLY_CONNECTED": (CHANNELS, inside),
            "DEPTHWISE_CONV_2D": (1, 3, 3, inside),
        }
        shape = shapes.get(kind, (CHANNELS, 3, 3, inside))
        values = draw(self.rng, shape, bits) if values is None else values
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
        scale = self.rng.uniform(0.01, 0.05, shape[axis]).astype(np.float32)
        weights = self.writer.constant(f"w{self.count}", values, scale, axis=axis, bits=bits)
        bias = self.rng.integers(-99, 99, shape[axis]).astype(np.int32 if self.bits == 8 else np.int64)
        bias = self.writer.constant(f"b{self.count}", bias, np.float32(0.05) * scale)
        out = self.writer.activation(
            f"y{self.count}", (*self.x.shape[:-1], shape[axis]), grid(0.05, self.bits)
        )
        self._operator(kind, weights, bias, out)
        self.x = out
        return self

    def _operator(self, kind, weights, bias, out):
        image = {"strideW": 1, "strideH": 1, "padding": "SAME"}
        if kind == "FULLY_CONNECTED":
            self.writer.operator(kind, [self.x, weights, bias], [out], "FullyConnectedOptions")
        elif kind == "TRANSPOSE_CONV":
            size = self.writer.constant("size", np.int32([1, *out.shape[1:]]))
            self.writer.operator(kind, [size, weights, self.x, bias], [out], "TransposeConvOptions", **image)
        else:
            options = "Conv2DOptions" if kind == "CONV_2D" else "DepthwiseConv2DOptions"
            more = {} if kind == "CONV_2D" else {"depthMultiplier": 1}
            inputs = [self.x, weights, bias]
            dilation = {"dilationWFactor": 1, "dilationHFactor": 1}
            self.writer.operator(kind, inputs, [out], options, **image, **dilation, **more)

    def finish(self):
        """Returns the file and the widths of its weights."""
        program = self.writer.program([self.input], [self.x], metadata={"made_by": "test"})
        return to_tflite(program), program.widths


def single(kind, bits, inside=8, activation_bits=8):
    """A file of one layer, and its widths."""
    shape = (inside,) if kind == "FULLY_CONNECTED" else (8, 8, inside)
    return Builder(shape, activation_bits=activation_bits).layer(kind, bits).finish()


def net(bits):
    """A file of one layer of each kind but the transposed one, and its widths."""
    net = Builder((8, 8, 8)).layer("CONV_2D", bits).layer("DEPTHWISE_CONV_2D", bits)
    net.x = net.writer.reshape(net.x, (None, 8 * 8 * CHANNELS), "flat")
    return net.layer("FULLY_CONNECTED", bits).finish()


def codes(shape, count=32, dtype="int8"):
    return np.random.default_rng(1).integers(-128, 128, (count, *shape)).astype(dtype)


def run_plainly(content, x):
    """Runs a file in LiteRT as anybody else would; returns the output codes and what XNNPACK took."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    (port,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(port["index"], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(port["index"], x)
    interpreter.invoke()
    (result,) = interpreter.get_output_details()
    return interpreter.get_tensor(result["index"]), delegation(interpreter._get_ops_details())
