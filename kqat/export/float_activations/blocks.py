"""A model as float layers with what is known of their weights' grids: BatchNorm folded, quantizers gone."""

from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from kqat.layers.fake_quant import FakeQuant
from kqat.layers.manual import ManualQuantization
from kqat.layers.quantized import Quantized
from kqat.lowering.activations.names import fused_activation, own_activation
from kqat.lowering.arithmetic.fold import Norm
from kqat.lowering.base import Input
from kqat.lowering.treatment import treatment_for
from kqat.ops.arrays import as_numpy
from kqat.transforms.copying import clone_layer
from kqat.transforms.nodes import Graph, Node, Tensor, substitute
from kqat.transforms.planning.fuse import find_chains
from kqat.transforms.splitting.split import split

# Layers whose kernel has integer forms.
KERNELS = (
    *(keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv2DTranspose),
    *(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D, keras.layers.EinsumDense),
)


@dataclass(frozen=True)
class Block:
    """One operation of the output file, in float.

    Args:
        op: The layer or operation; of a layer with weights its own BatchNorm and ReLU are in `norm` and
            `activation`.
        name: Its name, also that of its output in the file.
        inputs: Tensors that it reads.
        outputs: Tensors that it makes.
        args: Call arguments, `Input` in place of tensors.
        kwargs: Keyword call arguments, likewise.
        norm: Inference-time BatchNorm behind it, or `None`.
        activation: `"linear"`, `"relu"` or `"relu6"`.
        bias: Real bias, or `None`.
        quantizers: Trained quantizer of each weight, by attribute name.
        layer: The `Quantized` layer that it comes from, or `None`.
    """

    op: Any
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    args: tuple
    kwargs: dict
    norm: Norm | None = None
    activation: str = "linear"
    bias: Any = None
    quantizers: dict = field(default_factory=dict)
    layer: Quantized | None = None

    @property
    def weight_axes(self) -> tuple[int, ...] | None:
        """Axes of the kernel that keep a scale of their own; `None` for other operations than `KERNELS`."""
        treatment = treatment_for(self.op) if isinstance(self.op, KERNELS) else None
        return None if treatment is None else treatment.weights["kernel"]

    @property
    def quantizer(self):
        """Trained quantizer of the kernel, or `None`."""
        return self.quantizers.get("kernel")


@dataclass(frozen=True)
class Rounding:
    """A `FakeQuant`, which where activations stay float does nothing.

    Args:
        op: The layer.
        source: The tensor that it rounds.
        target: The rounded tensor.
    """

    op: FakeQuant
    source: Tensor
    target: Tensor


def read_blocks(graph: Graph) -> list[Block | Rounding]:
    """Returns the blocks of a traced model, float or quantized, in execution order."""
    graph, _ = split(graph, _is_float)
    chains = find_chains(graph, _may_fuse)
    absorbed = {node.path for chain in chains.values() for node in chain}
    blocks: list[Block | Rounding] = []
    for node in graph.nodes:
        if isinstance(node.op, FakeQuant):
            blocks.append(Rounding(node.op, node.inputs[0], node.outputs[0]))
        elif isinstance(node.op, Quantized):
            blocks.append(_quantized(node))
        elif node.path not in absorbed:
            blocks.append(_float(node, graph.names[node.path], chains.get(node.path, [])))
    return blocks


def _is_float(node: Node) -> bool:
    return not isinstance(node.op, Quantized | FakeQuant)


def _may_fuse(node: Node) -> bool:
    treatment = treatment_for(node.op)
    weighted = treatment is not None and treatment.kind == "weighted"
    return _is_float(node) and (isinstance(node.op, KERNELS) or not weighted)


def _quantized(node: Node) -> Block:
    layer = node.op
    places = [Input(i) for i in range(len(node.inputs))]
    args, kwargs = layer.arguments(places[0] if len(places) == 1 else places)
    norm = None if layer.batchnorm is None else Norm.of(layer.batchnorm, *layer.drift_variables)
    bias = getattr(layer.operation, "bias", None)
    if bias is not None and norm is None and layer.drift is not None:
        bias = keras.ops.subtract(bias, layer.drift.mean)
    block = Block(layer.operation, layer.name, tuple(node.inputs), node.outputs, tuple(args), kwargs)
    return replace(
        block,
        norm=_numpy_norm(norm),
        activation=layer.fused_activation,
        bias=_numpy(bias),
        quantizers=dict(layer.weight_quantizers),
        layer=layer,
    )


def _float(node: Node, name: str, chain: list[Node]) -> Block:
    args, kwargs = substitute((node.args, node.kwargs), {t: Input(i) for i, t in enumerate(node.inputs)})
    outputs = chain[-1].outputs if chain else node.outputs
    block = Block(node.op, name, tuple(node.inputs), outputs, args, kwargs)
    if block.weight_axes is None:
        relus = [fused_activation(follower.op) for follower in chain]
        return replace(block, activation=relus[-1] if relus else "linear")
    norms = [n.op for n in chain if isinstance(n.op, keras.layers.BatchNormalization)]
    activation = own_activation(node.op)
    for follower in chain:
        activation = fused_activation(follower.op) or activation
    return replace(
        block,
        norm=_numpy_norm(Norm.of(norms[0])) if norms else None,
        activation=activation,
        bias=_numpy(getattr(node.op, "bias", None)),
        quantizers=_manual_quantizers(node.op),
    )


def _manual_quantizers(op) -> dict:
    return op.weight_quantizers if isinstance(op, ManualQuantization) else {}


def float_clone(block: Block, kernel: np.ndarray, bias: np.ndarray) -> keras.layers.Layer:
    """Returns a float layer of the Keras class with the given weights and no activation."""
    op = block.op.to_float_layer() if isinstance(block.op, ManualQuantization) else block.op
    settings = {"activation": "linear", "dtype": "float32", **_with_bias(op)}
    clone = clone_layer(op, **settings)
    clone.build(block.op.get_build_config()["input_shape"])
    clone.kernel.assign(kernel)
    clone.bias.assign(np.reshape(bias, clone.bias.shape))
    return clone


def _with_bias(op) -> dict:
    """Returns the arguments that give a layer one bias for each output channel."""
    if not isinstance(op, keras.layers.EinsumDense):
        return {"use_bias": True}
    inputs, rest = op.equation.split(",")
    kernel, _ = rest.split("->")
    return {"bias_axes": "".join(letter for letter in kernel if letter not in inputs)}


def _numpy(value):
    return None if value is None else np.asarray(as_numpy(value), np.float32)


def _numpy_norm(norm: Norm | None) -> Norm | None:
    return None if norm is None else Norm(_numpy(norm.gain), _numpy(norm.mean), _numpy(norm.beta))
