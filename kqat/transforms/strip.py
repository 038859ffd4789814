"""Takes quantization out of a model again: any graph, kqat's own or with bare fake-quant layers."""

import keras

from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.transforms.graph import Graph, Node, Tensor, rename, substitute, tensors_in, trace
from kqat.transforms.split import clone_layer, copy_weights


def strip_fake_quant(model: keras.Model) -> keras.Model:
    """Returns the float model again: same names, trained weights, no trace of kqat.

    Args:
        model: Any Keras model with `FakeQuant`, `Quantized` or `Quant*` layers in it, or none.

    Returns:
        A new functional model. `model` is not changed.

    Invariant: for a model that was quantized and not trained, the result computes exactly what the
        original did.
    """
    return _Stripper(trace(model)).build()


class _Stripper:
    def __init__(self, graph: Graph):
        self.graph = graph
        self.names = rename(graph.nodes)
        self.layers: dict[str, keras.Operation] = {}
        self.values: dict[Tensor, keras.KerasTensor] = {}
        self.parts: dict[str, dict] = {}

    def build(self) -> keras.Model:
        """Returns the stripped model."""
        for tensor, name in self.graph.input_names.items():
            spec = self.graph.specs[tensor]
            self.values[tensor] = keras.Input(batch_shape=spec.shape, dtype=spec.dtype, name=name)
        for node in self.graph.nodes:
            self._add(node)
        inputs = substitute(self.graph.inputs, self.values)
        outputs = substitute(self.graph.outputs, {t: self.values[t] for t in tensors_in(self.graph.outputs)})
        return keras.Model(inputs, outputs, name=self.graph.name)

    def _add(self, node: Node) -> None:
        args, kwargs = substitute((node.args, node.kwargs), {t: self.values[t] for t in node.inputs})
        if isinstance(node.op, FakeQuant):
            outputs = args[0]
        elif isinstance(node.op, Quantized):
            outputs = self._unwrapped(node, args)
        else:
            outputs = self._call(node.path, node.op, args, kwargs)
        for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            self.values[tensor] = value

    def _unwrapped(self, node: Node, args):
        block: Quantized = node.op
        if block.origin is None:
            inner_args, inner_kwargs = block.arguments(args[0])
            outputs = self._call(node.path, block.operation, inner_args, inner_kwargs)
        else:
            outputs = self._joined(node, block, args[0])
        for follower in (block.batchnorm, block.activation):
            if follower is not None:
                outputs = self._call(f"{node.path}/{follower.name}", follower, (outputs,), {})
        return outputs

    def _joined(self, node: Node, block: Quantized, inputs):
        """Puts a layer that was split back together when its last part comes by."""
        saved = block.origin["layer"]
        key = saved["config"]["name"]
        weights = self.parts.setdefault(key, {})
        for theirs, ours in block.origin["weights"].items():
            weights[theirs] = getattr(block.operation, ours)
        if not block.origin["last"]:
            return inputs
        layer = self.layers.get(key)
        if layer is None:
            layer = self.layers[key] = keras.saving.deserialize_keras_object(saved)
        outputs = layer(inputs)
        for name, value in weights.items():
            getattr(layer, name).assign(value)
        return outputs

    def _call(self, path: str, op: keras.Operation, args, kwargs):
        plain = float_class(op)
        key = f"{path}:{id(op)}"
        if key not in self.layers:
            self.layers[key] = clone_layer(op) if plain is None else plain
        layer = self.layers[key]
        outputs = layer(*args, **kwargs)
        if isinstance(op, keras.layers.Layer) and op.variables:
            copy_weights(op, layer) if plain is None else copy_float_weights(op, layer)
        return outputs


def float_class(op: keras.Operation):
    """Returns a fresh float layer for a manual `Quant*` layer, `None` for any other operation."""
    make = getattr(op, "to_float_layer", None)
    return None if make is None else make()


def copy_float_weights(source, target) -> None:
    """Assigns the weights that a manual `Quant*` layer shares with its float counterpart."""
    for variable in target.variables:
        variable.assign(getattr(source, variable.name))
