"""Which tensors of a model the file needs as numbers, and which as signs."""

import keras
from keras import layers

from kqat.export.binary.epilogue import Tail, find_tail, is_pooling
from kqat.export.binary.placed import is_sign_layer
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.layers.sign_input import SignInput
from kqat.transforms.nodes import Graph, Node, Tensor, tensors_in


class Demand:
    """The form that the readers of each tensor ask for; worked out from the outputs back to the inputs.

    Args:
        graph: The traced model.
        binary: The calls of layers that become binary convolutions, by the path of the layer.
        pools_signs: Whether the file may take the maximum of signs.
    """

    def __init__(self, graph: Graph, binary, pools_signs: bool = True):
        self.graph, self.binary, self.pools_signs = graph, binary, pools_signs
        self.readers = graph.consumers()
        self.numbers: set[Tensor] = set(tensors_in(graph.outputs))
        self.signs: set[Tensor] = set()
        self.tails: dict[Tensor, Tail] = {}  # by the output of the convolution
        inside: dict[Tensor, Tensor] = {}
        for node in graph.nodes:
            if node.path in binary:
                integer = isinstance(node.op, Quantized)  # what follows is part of the layer, or rounds
                tail = Tail(node.outputs[0]) if integer else find_tail(graph, node)
                self.tails[node.outputs[0]] = tail
                inside.update({reader.outputs[0]: tail.end for reader in tail.nodes})
        for node in reversed(graph.nodes):
            end = inside.get(node.outputs[0]) if node.outputs else None
            if end is None or not self.only_signs(end):
                self._ask(node)

    def only_signs(self, tensor: Tensor) -> bool:
        """Tells whether all that is read of a tensor is its signs."""
        return tensor in self.signs and tensor not in self.numbers

    def may_flip(self, tensor: Tensor) -> bool:
        """Tells whether all readers can undo a change of sign of a channel in their filters."""
        return all(
            self._undoes(reader)
            or (isinstance(reader.op, layers.Flatten) and self.may_flip(reader.outputs[0]))
            for reader in self.readers[tensor]
        )

    def _undoes(self, reader: Node) -> bool:
        found = self.binary.get(reader.path)
        return found is not None and not (found.pads and found.pad_values)

    def _ask(self, node: Node) -> None:
        if node.path in self.binary or self.passes_signs(node) or is_sign_layer(node.op):
            self.signs.update(node.inputs)
        else:
            self.numbers.update(node.inputs)

    def passes_signs(self, node: Node) -> bool:
        """Tells whether the file computes the signs of a call's result from the signs of its input."""
        if len(node.inputs) != 1 or not self.only_signs(node.outputs[0]):
            return False
        if is_sign_input(node.op) or is_sign_layer(node.op):
            return True
        if isinstance(node.op, FakeQuant) and node.op.makes_signs:
            return True
        rank = len(self.graph.specs[node.inputs[0]].shape)
        if is_pooling(node):
            return self.pools_signs and rank in (3, 4)
        if isinstance(node.op, layers.ZeroPadding2D):  # before signs are taken: of 0, the sign is +1
            return node.op.data_format == "channels_last"
        return isinstance(node.op, layers.Flatten) and rank == 4 and self._dense(node.outputs[0])

    def _dense(self, tensor: Tensor) -> bool:
        """Tells whether Dense layers alone read a tensor."""
        inner = (getattr(reader.op, "operation", reader.op) for reader in self.readers[tensor])
        return all(isinstance(op, keras.layers.Dense) for op in inner)


def is_sign_input(op) -> bool:
    """Tells whether an operation hands on what is rounded to signs behind it."""
    return isinstance(getattr(op, "operation", op), SignInput)
