"""Builds the quantized model that a plan describes."""

from operator import attrgetter

import keras

from kqat import quantizers
from kqat.core import families
from kqat.core.recursion import deep_recursion
from kqat.core.spec import LayerPlan, TensorPlan, WeightPlan
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.named_outputs import functional_model
from kqat.layers.quantized import Quantized
from kqat.lowering.base import Input
from kqat.lowering.max_pooling import MAX_POOLING
from kqat.lowering.requantization import Requantization
from kqat.lowering.treatment import is_a
from kqat.ops.arrays import as_numpy
from kqat.transforms.copying import clone_layer, copy_weights
from kqat.transforms.naming import unused
from kqat.transforms.nodes import Graph, Node, Tensor, substitute, tensors_in
from kqat.transforms.plan import Plan
from kqat.transforms.precision import compute_in_float32, settle


class Builder:
    """Rebuilds a graph as a Keras model with quantized layers.

    Args:
        graph: The graph, compound layers split.
        plan: What happens to each of its layers.
        origins: Origin of each part of a split layer, by path.
    """

    def __init__(self, graph: Graph, plan: Plan, origins: dict[str, dict]):
        self.graph, self.plan, self.origins = graph, plan, origins
        self.plans = {layer.path: layer for layer in plan}
        self.chains: dict[str, list[Node]] = {}
        for node in graph.nodes:
            into = self.plans[node.path].into
            if into:
                self.chains.setdefault(into, []).append(node)
        self.fake_quants: dict[str, FakeQuant] = {}
        self.layers: dict[str, keras.Operation] = {}
        self.raw: dict[Tensor, keras.KerasTensor] = {}
        self.quantized: dict[Tensor, keras.KerasTensor] = {}
        self.readers, self.outputs = graph.consumers(), set(tensors_in(graph.outputs))
        self.requantizations: dict[str, Quantized] = {}
        self.requantized: dict[tuple[Tensor, str], keras.KerasTensor] = {}
        self.deferred: dict[Tensor, TensorPlan] = {}
        grids = {grid.name for layer in plan for grid in (layer.output, *layer.reads) if grid is not None}
        self.taken = {*graph.names.values(), *graph.input_names.values(), *grids}

    @deep_recursion()
    def build(self) -> keras.Model:
        """Returns the quantized model, with the weights of the original."""
        inputs = {t: self._input(t, name) for t, name in self.graph.input_names.items()}
        for node in self.graph.nodes:
            if self.plans[node.path].mode != "fused":
                self._add(node)
        outputs = substitute(self.graph.outputs, {t: self._best(t) for t in tensors_in(self.graph.outputs)})
        inputs = substitute(self.graph.inputs, inputs)
        model = functional_model(inputs, outputs, self.graph.name, self.graph.output_names)
        settle(model)
        for fake_quant in self.fake_quants.values():
            fake_quant.close()
        return model

    def _input(self, tensor: Tensor, name: str):
        spec = self.graph.specs[tensor]
        symbolic = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name=name)
        self._put(tensor, symbolic, self.plans[name].output, on_grid=False)
        return symbolic

    def _put(self, tensor: Tensor, value, grid: TensorPlan | None, on_grid: bool) -> None:
        """Notes a new tensor, and its quantized form if it has one."""
        quantized = value if grid is None else self._fake_quant(grid, is_output=tensor in self.outputs)(value)
        if on_grid:
            self.raw[tensor] = self.quantized[tensor] = quantized
            return
        self.raw[tensor] = value
        if grid is not None:
            self.quantized[tensor] = quantized

    def _best(self, tensor: Tensor):
        return self.raw[tensor]

    def _fake_quant(self, grid: TensorPlan, is_output: bool) -> FakeQuant:
        if grid.name not in self.fake_quants:
            probabilities = is_output and grid.range is not None
            self.fake_quants[grid.name] = FakeQuant(
                quantizer=activation_quantizer(grid), in_training=not probabilities, name=grid.name
            )
        return self.fake_quants[grid.name]

    def _add(self, node: Node) -> None:
        plan = self.plans[node.path]
        on_grid = plan.mode != "float"
        source = {t: self.quantized.get(t, self.raw[t]) if on_grid else self.raw[t] for t in node.inputs}
        reads = zip(node.inputs, plan.reads, strict=False)
        source |= {t: self._requantized(t, grid) for t, grid in reads if grid is not None}
        # A part of a split layer is wrapped even in float: the wrapper knows how to join it again.
        if plan.mode == "quantized" or node.path in self.origins:
            outputs = self._call_quantized(node, plan, source)
        else:
            args, kwargs = substitute((node.args, node.kwargs), source)
            outputs = self._clone(node)(*args, **kwargs)
            self._copy_once(node)
        grid = plan.output
        if plan.mode == "passthrough":
            grid = next((self.deferred[t] for t in node.inputs if t in self.deferred), None)
        tail = self.chains[node.path][-1] if node.path in self.chains else node
        for tensor, value in zip(tail.outputs, keras.tree.flatten(outputs), strict=True):
            if grid is not None and on_grid and self._only_pooled(tensor):
                self.deferred[tensor], grid = grid, None
            self._put(tensor, value, grid, on_grid)
            grid = grid if plan.mode != "quantized" else None  # what comes behind the output are states

    def _requantized(self, tensor: Tensor, grid: TensorPlan):
        """Returns a tensor on another grid than it is stored on, once for all layers that read it there."""
        if (tensor, grid.name) not in self.requantized:
            if grid.name not in self.requantizations:
                name = unused(grid.name.removesuffix("_quant"), self.taken)
                self.taken.add(name)
                self.requantizations[grid.name] = Quantized(Requantization(name=name))
            moved = self.requantizations[grid.name](self.quantized[tensor])
            self.requantized[tensor, grid.name] = self._fake_quant(grid, is_output=False)(moved)
        return self.requantized[tensor, grid.name]

    def _only_pooled(self, tensor: Tensor) -> bool:
        """Tells whether max pooling alone reads a tensor; then its smaller result is rounded instead."""
        readers = self.readers[tensor]
        if len(readers) != 1 or tensor in self.outputs:
            return False
        return isinstance(readers[0].op, MAX_POOLING) and self.plans[readers[0].path].mode == "passthrough"

    def _call_quantized(self, node: Node, plan: LayerPlan, source):
        if node.path not in self.layers:
            self.layers[node.path] = self._wrap(node, plan)
        layer = self.layers[node.path]
        inputs = [source[t] for t in node.inputs]
        fresh = not layer.built
        outputs = layer(inputs[0] if len(inputs) == 1 else inputs)
        if fresh:
            self._load(layer, node)
        return outputs

    def _wrap(self, node: Node, plan: LayerPlan) -> Quantized:
        chain = self.chains.get(node.path, [])
        norm = [n for n in chain if _is_norm(n.op)]
        relu = [n for n in chain if n not in norm]
        weights = {key: weight_quantizer(weight) for key, weight in plan.weights.items()}
        return Quantized(
            self._named_clone(node),
            weight_quantizers=weights,
            batchnorm=self._named_clone(norm[0]) if norm else None,
            activation=self._named_clone(relu[0]) if relu else None,
            template=_template(node),
            origin=self.origins.get(node.path),
            activation_replaced=plan.activation_replaced,
            name=plan.name,
        )

    def _load(self, layer: Quantized, node: Node) -> None:
        """Copies the trained weights of a layer and its BatchNorm, and starts its weight quantizers."""
        if isinstance(node.op, keras.layers.Layer):
            copy_weights(node.op, layer.operation)
        for follower in self.chains.get(node.path, []):
            if _is_norm(follower.op):
                copy_weights(follower.op, layer.batchnorm)
        for normalization in (node, *self.chains.get(node.path, [])):
            if normalization.kwargs.get("training") is False and _is_norm(normalization.op):
                layer.set_batchnorm_frozen(True)
        for key, quantizer in layer.weight_quantizers.items():
            quantizer.initialize(as_numpy(attrgetter(key)(layer.operation)))

    def _clone(self, node: Node) -> keras.Operation:
        if node.path not in self.layers:
            self.layers[node.path] = self._named_clone(node)
            compute_in_float32(self.layers[node.path])
        return self.layers[node.path]

    def _named_clone(self, node: Node) -> keras.Operation:
        """Returns a copy under the name in the plan, which is unique where nested models repeat one."""
        name = self.plans[node.path].name
        return clone_layer(node.op, **({"name": name} if name != node.op.name else {}))

    def _copy_once(self, node: Node) -> None:
        if isinstance(node.op, keras.layers.Layer) and node.op.variables:
            copy_weights(node.op, self.layers[node.path])


def weight_quantizer(weight: WeightPlan):
    """Returns the quantizer of a weight."""
    settings = {"bits": weight.bits, "axis": weight.axis, "signed": True, "narrow_range": True}
    return quantizers.get(weight.quantizer, **settings)


def activation_quantizer(grid: TensorPlan):
    """Returns the quantizer of an activation."""
    if grid.range is not None:
        low, high = grid.range
        return quantizers.get("fixed", min=low, max=high, bits=grid.bits)
    # Above 8 bits the runtime wants a zero point of 0; the sign of an activation carries no scale.
    wide = grid.bits > 8
    free = families.finds_sign(grid.quantizer) and not quantizers.takes(grid.quantizer, "symmetric")
    extra = {"symmetric": wide, "scaled": False}
    return quantizers.get(
        grid.quantizer, bits=grid.bits, signed=True if wide and free else grid.signed, **extra
    )


def _is_norm(op) -> bool:
    return is_a(op, keras.layers.BatchNormalization)


def _template(node: Node):
    """Returns the call template of a node that is not simply `layer(inputs)`.

    The argument `training` is the wrapper's business.
    """
    kwargs = {key: value for key, value in node.kwargs.items() if key != "training"}
    if isinstance(node.op, keras.layers.Layer) and not kwargs and len(node.args) == 1:
        return None
    positions: list[Tensor] = node.inputs

    def place(leaf):
        return Input(positions.index(leaf)) if isinstance(leaf, Tensor) else leaf

    return keras.tree.map_structure(place, (node.args, kwargs))
