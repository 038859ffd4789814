"""What each layer of a plan will be in a file, found out before training by writing it into an empty one."""

from dataclasses import replace

import numpy as np

from kqat.core.errors import ExportError, UnsupportedError
from kqat.core.families import is_wide
from kqat.core.grid import Grid
from kqat.core.spec import FILES, LayerPlan, TensorPlan
from kqat.export.fallback.process import is_elsewhere
from kqat.export.fallback.reading import read_island
from kqat.export.writing.emitter import Emitter, places
from kqat.lowering.base import Step
from kqat.lowering.float_body import FloatBody
from kqat.lowering.inherited import is_own_layer
from kqat.lowering.registry import WHOLE, lowering_for
from kqat.program.program import Ref
from kqat.program.writer import Writer
from kqat.transforms.nodes import Graph, Node, Tensor
from kqat.transforms.plan import Plan
from kqat.transforms.whole_numbers import is_whole

CONVERTER = "only TensorFlow's converter can write it"
REGISTER = f"{CONVERTER}, unless kqat.register gives it a lowering"
_WEIGHT_BITS, _TENSOR_BITS = 8, 16  # the widest that the runtime's kernels take


def with_outlook(plan: Plan, graph: Graph) -> Plan:
    """Returns a plan that says what each layer will be in a file of `export_tflite`.

    Args:
        plan: What happens to the layers.
        graph: The graph that it was made for, compound layers split.
    """
    outlook = _Outlook(plan, graph)
    found: dict[str, tuple[str, str]] = {}
    for node in graph.nodes:  # of several calls of one layer the worst counts
        found[node.path] = max(found.get(node.path, outlook.of(node)), outlook.of(node), key=_rank)
    layers = []
    for layer in plan:
        file, why = found.get(layer.into or layer.path) or outlook.of_input(layer)
        said = layer.into is not None or why in layer.reason or (file == "converter" and layer.cause != "")
        new = "" if said else why
        layers.append(replace(layer, file=file, reason="; ".join(filter(None, (layer.reason, new)))))
    return replace(plan, layers=tuple(layers), notes=(*_unknown_sizes(graph), *_unread_weights(graph)))


def _rank(found: tuple[str, str]) -> int:
    return FILES.index(found[0])


def _unknown_sizes(graph: Graph):
    """Yields a note for each input that has sizes, besides the batch, which a file needs and nobody knows."""
    for tensor, name in graph.input_names.items():
        shape = tuple(graph.specs[tensor].shape)
        if None in shape[1:]:
            yield (
                f"input '{name}' is of unknown size, {shape}, and a file needs fixed ones; give them to the "
                f"export, export_tflite(q, input_shapes={{{name!r}: ...}}), or to keras.Input"
            )


def _unread_weights(graph: Graph):
    """Yields a note for each weight that the quantized model will not have."""
    for path in dict.fromkeys(graph.unread):
        yield (
            f"weight '{path}' is trainable, and its layer's call does not read it: the quantized model does "
            "not have it. Remove it from the layer, or read it in the call"
        )


class _Outlook:
    """Tries to write single layers.

    Args:
        plan: What happens to the layers.
        graph: Their graph.
    """

    def __init__(self, plan: Plan, graph: Graph):
        self.graph = graph
        self.plans = {layer.path: layer for layer in plan}
        self.emitter = Emitter(graph)
        self.grids = self._grids()

    def of_input(self, layer: LayerPlan) -> tuple[str, str]:
        """Returns what a model input is in the file, and why."""
        return self._limits(layer, layer.output) or ("integer" if layer.output else "float", "")

    def of(self, node: Node) -> tuple[str, str]:
        """Returns what a call is in the file, and why if that needs words."""
        plan = self.plans[node.path]
        if plan.mode == "fused":
            return "integer", ""
        grids = [self.grids.get(tensor) for tensor in (*node.inputs, *node.outputs)]
        around = [*grids, *plan.reads] if plan.mode in ("quantized", "passthrough") else [plan.output]
        limit = self._limits(plan, *around)
        if limit:
            return limit
        if plan.mode == "float":
            return self._float(node)
        storage = 16 if any(grid is not None and grid.bits > _WEIGHT_BITS for grid in grids) else 8
        return self._quantized(node, plan, storage)

    def _grids(self) -> dict[Tensor, TensorPlan]:
        """Returns the grid of each tensor that has one."""
        names = self.graph.input_names
        grids = {tensor: self.plans[name].output for tensor, name in names.items()}
        ends = {layer.path: layer.output for layer in self.plans.values()}
        for node in self.graph.nodes:
            plan = self.plans[node.path]
            grid = ends[plan.into] if plan.into else plan.output
            if plan.mode == "passthrough":
                grid = next((grids[t] for t in node.inputs if grids.get(t)), None)
            grids |= dict.fromkeys(node.outputs, grid)
        return {tensor: grid for tensor, grid in grids.items() if grid is not None}

    def _limits(self, plan: LayerPlan, *grids: TensorPlan | None) -> tuple[str, str] | None:
        """Returns that a layer cannot be written for its widths, or `None`."""
        wide = [weight.bits for weight in plan.weights.values() if weight.bits > _WEIGHT_BITS]
        if wide:
            why = f"the runtime's kernels take weights of up to 8 bits, not {wide[0]}; use bits=(8, 16)"
            return "nothing", why
        odd = [grid for grid in grids if grid is not None and not _saturates(grid)]
        if odd:
            why = (
                f"the runtime holds activations in 8 or 16 bits, not {odd[0].bits} with '{odd[0].quantizer}'"
            )
            return "nothing", f"{why}; use activation bits 2 to 8, or 16 with quantizer='ema' or 'lsq'"
        return None

    def _float(self, node: Node) -> tuple[str, str]:
        whole = is_whole(node, self.graph) and not getattr(node.op, "variables", None)
        lowering = lowering_for(node.op, WHOLE if whole else 8)
        if lowering is None or lowering.needs_grids:
            return self._converted(node)
        return self._tried(node, "float", "converter", lambda refs: self.emitter._emit_plain(node, refs))

    def _quantized(self, node: Node, plan: LayerPlan, storage: int) -> tuple[str, str]:
        lowering = lowering_for(node.op, storage)
        if plan.mode == "passthrough" and (lowering or lowering_for(node.op)):
            good = "integer" if lowering else "float"  # values pass through float unchanged
            grid = next((self.grids[t] for t in node.inputs if t in self.grids), None)
            write = lambda refs: self.emitter._emit_plain(node, refs)  # noqa: E731
            return self._tried(node, good, "converter", write, _example(grid) if grid else None)
        if lowering is None:
            return self._converted(node)
        if isinstance(lowering, FloatBody):
            if lowering.needs_grids:  # which no empty file has
                return "float kernel", ""
            write = lambda refs: self._write_body(lowering, node, refs)  # noqa: E731
            return self._tried(node, "float kernel", "nothing", write)
        return "integer", ""

    def _tried(self, node: Node, good: str, bad: str, write, grid: Grid | None = None) -> tuple[str, str]:
        """Returns `good` if a call can be written, else `bad` and what the attempt said."""
        if self._has_unknown_sizes(node):
            return good, ""
        self.emitter.writer = Writer()
        try:
            write([self._ref(tensor, grid) for tensor in node.inputs])
        except UnsupportedError as error:
            if bad == "converter":
                return self._converted(node)
            return bad, f"it cannot be written: {_words(error)}"
        except (ExportError, ValueError) as error:
            return "nothing", f"it cannot be written: {_words(error)}"
        return good, ""

    def _converted(self, node: Node) -> tuple[str, str]:
        """Returns that the converter writes a call, or why it cannot be handed to it."""
        if is_elsewhere():
            ends = [(tuple(spec.shape), str(spec.dtype)) for spec in map(self.graph.specs.get, node.inputs)]
            args, kwargs = places(node)
            try:
                read_island(node.path, node.op, ends, args, kwargs, len(node.outputs), travels=True)
            except Exception as error:  # ours, or whatever a backend says that cannot run the layer
                return "nothing", _words(error)
        return "converter", REGISTER if is_own_layer(node.op) else CONVERTER

    def _has_unknown_sizes(self, node: Node) -> bool:
        return any(None in self.graph.specs[t].shape[1:] for t in (*node.inputs, *node.outputs))

    def _ref(self, tensor: Tensor, grid: Grid | None) -> Ref:
        spec, name = self.graph.specs[tensor], f"tensor_{tensor.id}"
        grid = grid if "float" in str(spec.dtype) else None
        return self.emitter.writer.activation(name, tuple(spec.shape), grid, dtype=str(spec.dtype))

    def _write_body(self, lowering, node: Node, refs: list[Ref]) -> None:
        step = Step(node.op, (None,) * len(refs), None, "linear", None, *places(node))
        lowering.emit(self.emitter.writer, step, refs, node.op.name)


def _saturates(grid: TensorPlan) -> bool:
    """Tells whether an integer type of the runtime saturates at the ends of a grid, see `FakeQuant`."""
    signs = grid.bits == 1 and grid.quantizer == "sign"
    return signs or 2 <= grid.bits <= _WEIGHT_BITS or (grid.bits == _TENSOR_BITS and is_wide(grid.quantizer))


def _example(grid: TensorPlan) -> Grid:
    """Returns a grid of the planned width; its scale is none of training's."""
    top = 2 ** (max(grid.bits, 2) - 1) - 1
    bottom = -top if grid.bits > _WEIGHT_BITS else -top - 1
    low, high = (0, top - bottom) if grid.signed is False and grid.bits <= _WEIGHT_BITS else (bottom, top)
    return Grid(np.float32(1 / 64), np.float32(low), np.float32(high))


def _words(error: Exception) -> str:
    """Returns a message as part of a sentence."""
    return " ".join(str(error).split()).rstrip(".")
