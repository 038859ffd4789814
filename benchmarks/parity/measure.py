"""Takes one model through quantization, calibration and export, and compares file and model."""

from collections import Counter
from dataclasses import dataclass

import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

import kqat
from benchmarks.parity.zoo import samples
from kqat.export.comparing.report import VerifyReport

_BORDERS = ("QUANTIZE", "DEQUANTIZE")


@dataclass(frozen=True)
class Outcome:
    """What a comparison found.

    Args:
        model: The quantized model.
        export: The file.
        report: What `kqat.verify` says.
    """

    model: keras.Model
    export: kqat.Export
    report: VerifyReport

    @property
    def values(self) -> int:
        """Number of values compared."""
        return sum(output.values for output in self.report.outputs)

    @property
    def mismatches(self) -> int:
        """Number of values that differ, at all."""
        return sum(output.unequal for output in self.report.outputs)

    @property
    def spread(self) -> int:
        """Number of different values of the output that takes the fewest, in the file, which is quick."""
        names, arrays = [x.name for x in self.model.inputs], data_for(self.model, saturate=True)
        given = dict(zip(names, arrays if isinstance(arrays, list) else [arrays], strict=True))
        with kqat.runtime.load(self.export.content, isolated=False) as runtime:
            outputs = runtime(*(given[port.name] for port in runtime.inputs))
        return min(len(np.unique(y)) for y in keras.tree.flatten(outputs))


def compare(model, bits, count=64, **options) -> Outcome:
    """Quantizes, calibrates, exports and compares a model, the last on data of its own.

    Args:
        model: A float model.
        bits: As `kqat.quantize` takes it.
        count: Number of inputs to calibrate and to compare on: of one shape, which JAX compiles once.
        **options: Of `kqat.quantize`; by default every tensor is as narrow as `bits` says.
    """
    q = kqat.quantize(model, bits=bits, **{"stream_bits": 1, **options})
    kqat.calibrate(q, data_for(q, count, seed=1), verbose=0)
    export = kqat.export_tflite(q)
    return Outcome(q, export, kqat.verify(q, export, data_for(q, count, seed=2, saturate=True)))


def data_for(model, count=64, seed=2, saturate=False):
    """Random data in the structure of a model's inputs."""
    shapes = [tuple(x.shape[1:]) for x in model.inputs]
    arrays = [samples(shape, count, seed + 10 * i, saturate) for i, shape in enumerate(shapes)]
    return arrays[0] if len(arrays) == 1 else arrays


def predict(model, compiled=False):
    """A model's outputs on the data that it is compared on, eagerly or as `predict` compiles them."""
    x = data_for(model, saturate=True)
    y = model.predict(x, verbose=0) if compiled else model(x, training=False)
    return keras.tree.map_structure(keras.ops.convert_to_numpy, y)


def float_operators(content: bytes) -> Counter:
    """Returns the operators of a file that read or write float, but for the borders of the integers."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    (graph,) = model.subgraphs
    found = Counter()
    for operator in graph.operators:
        tensors = [graph.tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
        name = names[model.operatorCodes[operator.opcodeIndex].builtinCode]
        if name not in _BORDERS and any(t.type == schema.TensorType.FLOAT32 for t in tensors):
            found[name] += 1
    return found
