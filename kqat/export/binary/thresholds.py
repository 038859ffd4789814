"""Learned thresholds of inputs as a layer in front, behind which the threshold is 0."""

from dataclasses import replace

import keras
import numpy as np

from kqat.export.binary.recognize import input_step, is_planned
from kqat.transforms.nodes import Graph, Node, substitute


def with_shifts(graph: Graph) -> Graph:
    """Returns the graph with a layer that subtracts in front of each layer whose thresholds are not 0."""
    result = replace(graph, nodes=[], specs=dict(graph.specs))
    for node in graph.nodes:
        limits = input_step(node.op).threshold if is_planned(node.op) else None
        if limits is None:
            result.nodes.append(node)
            continue
        (source,) = node.inputs
        shifted = result.new_tensor(graph.specs[source])
        shift = _shift(f"{node.op.name}_threshold", limits, graph.specs[source].shape)
        result.nodes.append(Node(shift, f"{node.path}_threshold", (source,), {}, (shifted,)))
        args, kwargs = substitute((node.args, node.kwargs), {source: shifted})
        result.nodes.append(replace(node, args=args, kwargs=kwargs))
    return result


def _shift(name: str, limits: np.ndarray, shape) -> keras.layers.Layer:
    """Returns a layer that subtracts a number from each channel: `(x - limit) / sqrt(1 + 0)`."""
    layer = keras.layers.BatchNormalization(center=False, scale=False, epsilon=0.0, name=name)
    layer.build(shape)
    layer.moving_mean.assign(limits)
    layer.moving_variance.assign(np.ones_like(limits))
    return layer
