"""Takes quantization out of a model again: any graph, kqat's own or with bare fake-quant layers."""

from dataclasses import dataclass, field
from operator import attrgetter

import keras

from kqat.core.recursion import deep_recursion
from kqat.keras_private import maker_of
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.named_outputs import NamedOutputs
from kqat.layers.quantized import Quantized
from kqat.layers.sign_input import SignInput
from kqat.layers.template import template_from_config
from kqat.lowering.base import Input
from kqat.lowering.recurrent.state import State
from kqat.lowering.requantization import Requantization
from kqat.transforms.copying import clone_layer, copy_value, copy_weights
from kqat.transforms.graph import trace
from kqat.transforms.naming import rename
from kqat.transforms.nodes import Graph, Node, Tensor, substitute, tensors_in


def strip_fake_quant(model: keras.Model) -> keras.Model:
    """Returns the float model again: same names, trained weights, no trace of kqat.

    Args:
        model: Any Keras model with `FakeQuant`, `Quantized` or `Quant*` layers in it, or none.

    Returns:
        A new functional model. `model` is not changed.

    Invariant: for a model that was quantized and not trained, the result computes exactly what the
        original did.
    """
    names = model.output_names if isinstance(model, NamedOutputs) else []
    return _Stripper(trace(model), names).build()


def float_twin(model: keras.Model) -> tuple[keras.Model, list[tuple[Quantized, keras.KerasTensor]]]:
    """Returns the float model of a quantized one, and where in it the outputs of its layers are.

    Args:
        model: What `quantize` returned.

    Returns:
        The same as `strip_fake_quant`; and pairs of a `Quantized` layer and the tensor of the float model
        that its output stands for, in the order of the graph, without layers that are called twice.
    """
    stripper = _Stripper(trace(model), [])
    twin = stripper.build()
    found = {}
    for node in stripper.graph.nodes:
        value = stripper.values.get(node.outputs[0]) if node.outputs else None
        if isinstance(node.op, Quantized) and not _only_rounds(node.op):
            found[id(node.op)] = None if id(node.op) in found else (node.op, value)
    return twin, [pair for pair in found.values() if pair and isinstance(pair[1], keras.KerasTensor)]


@dataclass(frozen=True)
class _Parts:
    """Stands for what a part of a split layer puts out: the inputs of the whole layer seen so far.

    Args:
        taken: Inputs of the whole layer by their place in its call.
    """

    taken: dict = field(default_factory=dict)

    @classmethod
    def among(cls, structure) -> "_Parts | None":
        """Returns what all parts among the leaves of a structure have seen, `None` if there are none."""
        found = [leaf.taken for leaf in keras.tree.flatten(structure) if isinstance(leaf, cls)]
        return cls({place: value for taken in found for place, value in taken.items()}) if found else None


class _Stripper:
    def __init__(self, graph: Graph, output_names: list[str]):
        self.graph = graph
        self.output_names = output_names or [""] * len(tensors_in(graph.outputs))
        paths = [path for node in graph.nodes for path in _paths(node)]
        self.names = rename(paths, graph.input_names.values())
        self.layers: dict[str, keras.Operation] = {}
        self.values: dict[Tensor, keras.KerasTensor] = {}
        self.parts: dict[str, dict] = {}

    @deep_recursion()
    def build(self) -> keras.Model:
        """Returns the stripped model."""
        for tensor, name in self.graph.input_names.items():
            spec = self.graph.specs[tensor]
            self.values[tensor] = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name=name)
        for node in self.graph.nodes:
            self._add(node)
        inputs = substitute(self.graph.inputs, self.values)
        outputs = substitute(self.graph.outputs, {t: self.values[t] for t in tensors_in(self.graph.outputs)})
        self._name_outputs(outputs)
        return keras.Model(inputs, outputs, name=self.graph.name)

    def _name_outputs(self, outputs) -> None:
        """Calls operations at the end after the outputs of the model, where those had names of their own.

        Layers keep theirs, by which weights are transferred.
        """
        taken = {*self.names.values(), *self.graph.input_names.values()}
        for tensor, name in zip(keras.tree.flatten(outputs), self.output_names, strict=True):
            op = maker_of(tensor)
            if name and name not in taken and not isinstance(op, keras.layers.Layer):
                op.name = name
                taken.add(name)

    def _add(self, node: Node) -> None:
        args, kwargs = substitute((node.args, node.kwargs), {t: self.values[t] for t in node.inputs})
        if _only_rounds(node.op):
            outputs = keras.tree.flatten(args)[0]
        elif isinstance(node.op, Quantized):
            outputs = self._unwrapped(node, args)
        elif (between := _Parts.among((args, kwargs))) is not None:  # inside of a split layer
            outputs = [between] * len(node.outputs)
        else:
            outputs = self._call(node.path, node.op, args, kwargs)
        for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            self.values[tensor] = value

    def _unwrapped(self, node: Node, args):
        block: Quantized = node.op
        first, *rest = _paths(node)
        if block.origin is None:
            inner_args, inner_kwargs = block.arguments(args[0])
            outputs = self._call(first, block.operation, inner_args, inner_kwargs)
        else:
            outputs = self._joined(first, block, args[0])
        followers = [follower for follower in (block.batchnorm, block.activation) if follower is not None]
        for path, follower in zip(rest, followers, strict=True):
            outputs = self._call(path, follower, (outputs,), {})
        return outputs

    def _joined(self, path: str, block: Quantized, inputs):
        """Puts a layer that was split back together when its last part comes by."""
        weights = self.parts.setdefault(path, {})
        for theirs, ours in block.origin["weights"].items():
            weights[theirs] = getattr(block.operation, ours)
        leaves, earlier = keras.tree.flatten(inputs), _Parts.among(inputs)
        taken = {} if earlier is None else dict(earlier.taken)
        taken |= {place: leaves[position] for position, place in block.origin["takes"]}
        if not block.origin["last"]:
            return _Parts(taken)
        if path not in self.layers:
            saved = block.origin["layer"]
            config = {**saved["config"], "name": self.names[path]}
            self.layers[path] = keras.saving.deserialize_keras_object({**saved, "config": config})
        outputs = self._call_whole(path, block.origin["template"], taken)
        for name, value in weights.items():
            copy_value(value, attrgetter(name)(self.layers[path]))
        return outputs

    def _call_whole(self, path: str, template, taken: dict):
        template = template_from_config(template) or ((Input(0),), {})
        fill = lambda x: taken[x.position] if isinstance(x, Input) else x  # noqa: E731
        args, kwargs = keras.tree.map_structure(fill, template)
        return self.layers[path](*args, **kwargs)

    def _call(self, path: str, op: keras.Operation, args, kwargs):
        if hasattr(op, "as_operation"):  # a layer that stands in for an operation of Keras's
            return op.as_operation(*args, **kwargs)
        plain = float_class(op)
        if path not in self.layers:
            name = {"name": self.names[path]} if self.names[path] != op.name else {}
            self.layers[path] = clone_layer(op if plain is None else plain, **name)
        layer = self.layers[path]
        outputs = layer(*args, **kwargs)
        if isinstance(op, keras.layers.Layer) and op.variables:
            copy_weights(op, layer) if plain is None else copy_float_weights(op, layer)
        return outputs


def _paths(node: Node) -> list[str]:
    """Returns the paths of the float layers that a node becomes: its own, or those inside the wrapper."""
    if _only_rounds(node.op):
        return []
    if not isinstance(node.op, Quantized):
        return [node.path]
    block: Quantized = node.op
    name = block.operation.name if block.origin is None else block.origin["layer"]["config"]["name"]
    followers = [follower.name for follower in (block.batchnorm, block.activation) if follower is not None]
    prefix = node.path.removesuffix(node.path.rsplit("/", 1)[-1])
    return [prefix + part for part in (name, *followers)]


def _only_rounds(op) -> bool:
    """Tells whether an operation hands its input on but for rounding."""
    inner = op.operation if isinstance(op, Quantized) else op
    return isinstance(inner, FakeQuant | SignInput | Requantization | State)


def float_class(op: keras.Operation):
    """Returns a fresh float layer for a manual `Quant*` layer, `None` for any other operation."""
    make = getattr(op, "to_float_layer", None)
    return None if make is None else make()


def copy_float_weights(source, target) -> None:
    """Assigns the weights that a manual `Quant*` layer shares with its float counterpart."""
    for variable in target.weights:
        copy_value(getattr(source, variable.name), variable)
