"""Compares the tensors inside a file with the quantized tensors of the Keras model."""

import re
from collections import defaultdict
from dataclasses import dataclass

import flatbuffers
import keras
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat.core.errors import FileError
from kqat.export.comparing.report import LayerReport
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.ops.arrays import as_numpy
from kqat.transforms.graph import trace
from kqat_runtime.running.flatbuffer import Reader
from kqat_runtime.running.isolated import load
from kqat_runtime.running.structure import check_structure

_MOVES = (schema.BuiltinOperator.RESHAPE, schema.BuiltinOperator.TRANSPOSE, schema.BuiltinOperator.SQUEEZE)
_KEEPING = (*_MOVES, schema.BuiltinOperator.DEQUANTIZE)
_SAMPLES = 32  # at a time, because every tensor of a network is held at once


def output_scales(content: bytes) -> list[float | None]:
    """Returns for each output the scale of the quantized tensor that it is computed from, or `None`.

    Args:
        content: A sound file.
    """
    model = Reader(content).model()
    graph = model["subgraphs"][0]
    codes = [max(c.get("builtin", 0), c.get("deprecated", 0)) for c in model.get("operator_codes", [])]
    maker = {int(t): op for op in graph.get("operators", []) for t in op.get("outputs", ())}

    return [_scale_of(int(index), graph["tensors"], maker, codes) for index in graph.get("outputs", ())]


def _scale_of(index: int, tensors, maker, codes) -> float | None:
    """Returns the scale of a tensor, or of the one that it is moved from."""
    for _ in range(len(tensors)):  # a damaged file may lead in circles
        scales = tensors[index].get("quantization", {}).get("scale", ())
        if len(scales):
            return float(scales[0])
        operator = maker.get(index)
        kept = operator is not None and codes[operator.get("code", 0)] in _KEEPING
        if not kept or not len(operator.get("inputs", ())) or operator["inputs"][0] < 0:
            return None
        index = int(operator["inputs"][0])
    return None


@dataclass(frozen=True)
class _Place:
    """One tensor that exists on both sides: its file index and the symbolic Keras tensor."""

    layer: str
    tensor: str
    index: int
    symbolic: keras.KerasTensor


class LayerComparison:
    """Compares every tensor that both sides name, batch by batch.

    Args:
        model: The quantized model.
        content: Its file.
        isolated: Run the file in a process of its own.
    """

    def __init__(self, model: keras.Model, content: bytes, isolated: bool):
        check_structure(content)
        try:
            file = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
        except Exception as error:  # the generated code reads more than the structure check does
            raise FileError(
                f"The .tflite file is damaged. Received: tables that cannot be read ({error!r:.200}). "
                "Copy or export it again."
            ) from error
        self.notes: list[str] = []
        self._outputs = len(file.subgraphs[0].outputs)
        self._places = self._pair(model, file.subgraphs[0])
        self._keras = self._values = None
        if self._places:
            self._keras = keras.Model(model.inputs, [place.symbolic for place in self._places])
            self._values = load(_with_outputs(file, [p.index for p in self._places]), isolated)
        self._counts = np.zeros((len(self._places), 3), np.int64)

    def close(self) -> None:
        """Frees the runtime."""
        if self._values is not None:
            self._values.close()

    def add(self, ours, theirs) -> None:
        """Compares one batch.

        Args:
            ours: Arrays in the order of the model's inputs.
            theirs: The same arrays in the order of the file's inputs.
        """
        if self._values is None:
            return
        for start in range(0, len(ours[0]), _SAMPLES):
            part = [keras.ops.convert_to_tensor(x[start : start + _SAMPLES]) for x in ours]
            expected = keras.tree.flatten(self._keras(part[0] if len(part) == 1 else part, training=False))
            codes = self._values.run([x[start : start + _SAMPLES] for x in theirs], _SAMPLES, real=False)
            ports = self._values.outputs[self._outputs :]
            for i, (y, code, port) in enumerate(zip(expected, codes[self._outputs :], ports, strict=True)):
                self._count(i, as_numpy(y), code, port)

    def _count(self, i, y, code, port) -> None:
        levels = np.rint(y.astype(np.float64) / port.scale) + port.zero_point
        if code.size != levels.size:  # no batch comes first, and the runtime gives a row for each sample
            levels = levels[: len(code)]
        difference = np.abs(levels - code.reshape(levels.shape))
        counts = (difference.size, np.count_nonzero(difference))
        self._counts[i, :2] += counts
        self._counts[i, 2] = max(self._counts[i, 2], int(difference.max(initial=0)))

    def reports(self) -> tuple[LayerReport, ...]:
        """Returns the layers in the file's order."""
        rows = zip(self._places, self._counts.tolist(), strict=True)
        return tuple(LayerReport(p.layer, p.tensor, *counts) for p, counts in rows)

    def _pair(self, model, graph) -> list[_Place]:
        """Returns the tensors that exist on both sides, in the order in which the file computes them."""
        made = _quantized_tensors(graph)
        calls = _quantized_calls(model)
        places = []
        for name, found in calls.items():
            indices = _named(made, name, calls)
            if not indices:
                continue  # a float layer, or one that moves no data
            if len(indices) != len(found):
                self.notes.append(
                    f"'{name}' is not compared: {len(found)} tensors in Keras, {len(indices)} in the file"
                )
                continue
            places += [_Place(layer, made[i], i, t) for i, (layer, t) in zip(indices, found, strict=True)]
        order = {index: position for position, index in enumerate(made)}
        return sorted(places, key=lambda place: order[place.index])


def _quantized_tensors(graph) -> dict[int, str]:
    """Returns index and name of each int8 or int16 tensor that an operator writes, in that order."""
    kinds = (schema.TensorType.INT8, schema.TensorType.INT16)
    written = [int(t) for operator in graph.operators for t in operator.outputs]
    return {t: graph.tensors[t].name.decode() for t in written if graph.tensors[t].type in kinds}


def _quantized_calls(model) -> dict[str, list]:
    """Returns for each name in a file the layer and its symbolic output, one pair a call."""
    graph = trace(model)
    makers = {tensor: node.op for node in graph.nodes for tensor in node.outputs}
    calls: dict[str, list] = defaultdict(list)
    for node in graph.nodes:
        op, name, layer = node.op, node.op.name, node.op.name
        if isinstance(op, FakeQuant):
            (source,) = node.inputs
            layer = graph.input_names[source] if source in graph.input_names else makers[source].name
            if _on_grid(makers.get(source)):
                continue  # compared as the output of the layer before, which has the quantizer's name
        elif _on_grid(op):
            name = op.output_name
        calls[name].append((layer, graph.specs[node.outputs[0]]))
    return calls


def _on_grid(op) -> bool:
    """Whether a layer computes on integers, so that its own output is what the file has."""
    return isinstance(op, Quantized) and op.is_integer


def _named(made: dict[int, str], name: str, taken) -> list[int]:
    """Returns the tensors of one name, or of the name with a number that the writer appended."""
    numbered = re.compile(re.escape(name) + r"_\d+(_\d+)*")
    return [i for i, n in made.items() if n == name or (numbered.fullmatch(n) and n not in taken)]


def _with_outputs(file, indices) -> bytes:
    """Returns the file with more of its tensors as graph outputs."""
    file.subgraphs[0].outputs = [*file.subgraphs[0].outputs, *indices]
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(file.Pack(builder), b"TFL3")
    return bytes(builder.Output())
