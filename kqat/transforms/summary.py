"""What each layer of a model costs: bits, parameters, bytes and multiplications."""

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from importlib import import_module

import keras

from kqat.core.recognize import is_tf_keras
from kqat.core.table import Tabular, TextTable
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.lowering.max_pooling import MAX_POOLING
from kqat.lowering.treatment import treatment_for
from kqat.transforms.graph import trace
from kqat.transforms.macs import macs
from kqat.transforms.nodes import Graph, Node, Tensor
from kqat.transforms.storage import FLOAT_BITS, input_bits, stored_weights, weight_bits


@dataclass(frozen=True)
class SummaryRow:
    """One layer.

    Args:
        name: Path of the layer, `"backbone/conv1"`.
        type: Class of the layer, that of the wrapped one for a quantized layer.
        weight_bits: Width of the quantized weights, 32 for float ones, `None` without weights.
        activation_bits: Width of the output, 32 for float.
        parameters: Number of weights, those of a BatchNorm computed together included.
        weight_bytes: Bytes of the quantized weights at their width, `bits * count / 8`.
        float_bytes: Bytes of the other weights: biases, BatchNorm, unquantized layers.
        macs: Multiply-accumulates of all calls of the layer for one sample; `None` where unknown.
        macs_by_bits: The same by (weight bits, bits of the input activation).
        calls: How often the layer is called.
    """

    name: str
    type: str
    weight_bits: int | None
    activation_bits: int
    parameters: int
    weight_bytes: float
    float_bytes: int
    macs: int | None
    macs_by_bits: dict[tuple[int, int], int]
    calls: int


@dataclass(frozen=True)
class Totals:
    """Sums over all layers.

    Args:
        parameters: Number of weights.
        bytes: Bytes of all weights at their widths.
        float32_bytes: Bytes of the same weights in float32.
        macs: Multiply-accumulates for one sample, without those of unknown layers.
        macs_by_bits: The same by (weight bits, bits of the input activation).
        unknown_macs: Layers whose multiply-accumulates are not known.
    """

    parameters: int
    bytes: float
    float32_bytes: int
    macs: int
    macs_by_bits: dict[tuple[int, int], int]
    unknown_macs: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """Bytes of all weights relative to float32; 1 for a model without weights."""
        return self.bytes / self.float32_bytes if self.float32_bytes else 1.0

    @property
    def binary_macs(self) -> int:
        """Multiply-accumulates of signs with signs, which XNOR gates and bit counts compute."""
        return self.macs_by_bits.get((1, 1), 0)


@dataclass(frozen=True)
class Summary(Tabular):
    """What `summary` returns; `print` it.

    Args:
        name: Name of the model.
        rows: One row a layer, inputs included, in execution order.
        totals: Sums.

    Threads: may share it; nothing changes it.
    """

    name: str
    rows: tuple[SummaryRow, ...]
    totals: Totals

    def __getitem__(self, name: str) -> SummaryRow:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(name)

    def to_dict(self) -> dict:
        """Returns the summary as JSON data; pairs of widths become `"4x8"`."""
        rows = [{**asdict(row), "macs_by_bits": _keys(row.macs_by_bits)} for row in self.rows]
        totals = {**asdict(self.totals), "macs_by_bits": _keys(self.totals.macs_by_bits)}
        return {"name": self.name, "rows": rows, "totals": {**totals, "ratio": self.totals.ratio}}

    def table(self) -> TextTable:
        """Returns the summary as a table."""
        columns = ("layer", "type", "weights", "output", "parameters", "bytes", "MACs")
        title = f"Model '{self.name}'"
        rows = [_cells(row) for row in self.rows]
        return TextTable(columns, rows, title, frozenset(columns[2:]), _footer(self.totals))


def summary(model: keras.Model) -> Summary:
    """Returns bits, parameters, bytes and multiply-accumulates of each layer of a model, and totals.

    Args:
        model: A built model, quantized or not; one of tf_keras, layers of larq included, is counted as its
            twin in Keras 3.

    Returns:
        A `Summary`. Parameters are those of the float model: the state of quantizers is left out.

    Threads: may share the model, where none changes it meanwhile.

    Raises:
        TraceError: The model is not built or cannot be recorded.

    Example:
        >>> import keras, kqat
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="head")])
        >>> kqat.summary(kqat.quantize(model, bits=8)).totals.macs_by_bits
        {(8, 8): 32}
    """
    if is_tf_keras(model):
        model = import_module("kqat.bridge.convert").convert(model, to="keras")
    graph = trace(model)
    counter = _Counter(graph)
    rows = tuple(counter.rows())
    return Summary(model.name, rows, _totals(rows))


@dataclass
class _Layer:
    """A layer while its calls are counted."""

    node: Node
    activation_bits: int
    macs: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    known: bool = True
    calls: int = 0


class _Counter:
    """Follows the widths of the tensors through a graph."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.bits: dict[Tensor, int] = dict.fromkeys(graph.input_names, FLOAT_BITS)
        self.stored = self._stored_bits()
        self.layers: dict[str, _Layer] = {}
        for node in graph.nodes:
            self._visit(node)

    def rows(self):
        """Yields the rows of the inputs and layers."""
        for tensor, name in self.graph.input_names.items():
            yield SummaryRow(name, "Input", None, self.stored.get(tensor, FLOAT_BITS), 0, 0.0, 0, 0, {}, 1)
        for path, layer in self.layers.items():
            yield _row(path, layer)

    def _stored_bits(self) -> dict[Tensor, int]:
        """Returns the width of each tensor that a `FakeQuant` reads, also through a max pooling."""
        makers = {tensor: node for node in self.graph.nodes for tensor in node.outputs}
        stored = {}
        for node in self.graph.nodes:
            if not isinstance(node.op, FakeQuant):
                continue
            (tensor,) = node.inputs
            stored[tensor] = node.op.quantizer.bits
            while tensor in makers and isinstance(makers[tensor].op, MAX_POOLING):
                (tensor,) = makers[tensor].inputs
                stored[tensor] = node.op.quantizer.bits
        return stored

    def _visit(self, node: Node) -> None:
        if isinstance(node.op, FakeQuant):
            self._set(node, node.op.quantizer.bits)
            return
        op = node.op.operation if isinstance(node.op, Quantized) else node.op
        passes = (treatment := treatment_for(op)) is not None and treatment.kind == "passthrough"
        reads = [self.bits[tensor] for tensor in node.inputs]
        bits = max(reads, default=FLOAT_BITS) if passes else FLOAT_BITS
        self._set(node, bits)
        stored = self.stored.get(node.outputs[0], bits)
        layer = self.layers.setdefault(node.path, _Layer(node, stored))
        layer.calls += 1
        self._count(layer, op, node, reads)

    def _set(self, node: Node, bits: int) -> None:
        self.bits.update(dict.fromkeys(node.outputs, bits))

    def _count(self, layer: _Layer, op, node: Node, reads) -> None:
        shapes = [self.graph.specs[tensor].shape for tensor in node.inputs]
        number = macs(op, shapes, self.graph.specs[node.outputs[0]].shape)
        if number is None:
            layer.known = False
        elif number:
            layer.macs[_widths(node.op, op, reads)] += number


def _widths(op, inner, reads) -> tuple[int, int]:
    """Returns the widths that a product multiplies; a float layer gets its input dequantized."""
    second = weight_bits(op)
    if second == FLOAT_BITS or (second is None and not isinstance(op, Quantized)):
        return FLOAT_BITS, FLOAT_BITS
    return reads[-1] if second is None else second, min(reads[0], input_bits(inner))


def _row(path: str, layer: _Layer) -> SummaryRow:
    op = layer.node.op
    quantized, others = stored_weights(op)
    inner = op.operation if isinstance(op, Quantized) else op
    total = sum(layer.macs.values()) if layer.known else None
    kind = type(inner).__name__ if isinstance(inner, keras.layers.Layer) else f"ops.{type(inner).__name__}"
    return SummaryRow(
        path,
        kind,
        weight_bits(op),
        layer.activation_bits,
        sum(count for _, count in quantized) + sum(count for count, _ in others),
        sum(bits * count / 8 for bits, count in quantized),
        sum(count * size for count, size in others),
        total,
        dict(layer.macs),
        layer.calls,
    )


def _totals(rows) -> Totals:
    by_bits: dict[tuple[int, int], int] = defaultdict(int)
    for row in rows:
        for key, number in row.macs_by_bits.items():
            by_bits[key] += number
    parameters = sum(row.parameters for row in rows)
    stored = sum(row.weight_bytes + row.float_bytes for row in rows)
    unknown = tuple(row.name for row in rows if row.macs is None)
    ordered = {key: by_bits[key] for key in sorted(by_bits)}
    return Totals(parameters, stored, 4 * parameters, sum(by_bits.values()), ordered, unknown)


def _keys(by_bits) -> dict[str, int]:
    return {f"{weights}x{activations}": number for (weights, activations), number in by_bits.items()}


def _cells(row: SummaryRow) -> tuple[str, ...]:
    size = f"{row.weight_bytes + row.float_bytes:,.0f}" if row.parameters else ""
    count = "unknown" if row.macs is None else (f"{row.macs:,}" if row.macs else "")
    weights = "" if row.weight_bits is None else _width(row.weight_bits)
    parameters = f"{row.parameters:,}" if row.parameters else ""
    return row.name, row.type, weights, _width(row.activation_bits), parameters, size, count


def _width(bits: int) -> str:
    return "float" if bits >= FLOAT_BITS else str(bits)


def _footer(totals: Totals) -> list[str]:
    lines = [
        f"parameters: {totals.parameters:,}; bytes: {totals.bytes:,.0f}, {totals.ratio:.3f} of float32",
        f"MACs (weight bits x activation bits): {totals.macs:,}"
        + "".join(f"; {_width(w)} x {_width(a)}: {n:,}" for (w, a), n in totals.macs_by_bits.items()),
    ]
    if totals.binary_macs:
        lines.append(f"binary MACs: {totals.binary_macs:,}, {totals.binary_macs / totals.macs:.2%} of all")
    if totals.unknown_macs:
        lines.append(f"MACs unknown: {', '.join(totals.unknown_macs)}")
    return lines
