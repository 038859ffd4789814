"""Random inputs that a model can take: inside of the ranges of its quantizers, ids inside of their tables."""

import keras
import numpy as np

from kqat.export.writing.arrays import to_numpy_grid
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.transforms.nodes import Graph, Node, Tensor

_REAL = (-1.0, 1.0)
_IDS = 2  # where nothing says how many there are


def sample_inputs(graph: Graph, count: int, seed: int = 0) -> list[np.ndarray]:
    """Returns random values for each input of a traced model.

    Args:
        graph: The model.
        count: Number of samples, where the batch is free.
        seed: Of the random numbers.

    Returns:
        Arrays in the order of the inputs: uniform over the grid of an input that is quantized, below the
        table's length where they are the ids of an embedding, else -1 to 1, or 0 and 1.
    """
    rng = np.random.default_rng(seed)
    return [_values(graph, tensor, count, rng) for tensor in graph.input_names]


def _values(graph: Graph, tensor: Tensor, count: int, rng) -> np.ndarray:
    spec = graph.specs[tensor]
    dtype = keras.backend.standardize_dtype(spec.dtype)
    shape = [count if size is None else size for size in spec.shape]
    readers = _readers(graph, tensor)
    tables = [_layer(node).input_dim for node in readers if isinstance(_layer(node), keras.layers.Embedding)]
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if tables or "float" not in dtype:
        return rng.integers(0, min(tables, default=_IDS), shape).astype(dtype)
    grids = [to_numpy_grid(n.op.quantizer.grid()) for n in readers if isinstance(n.op, FakeQuant)]
    low, high = _REAL
    if grids:
        low, high = (float(grids[0].scale) * float(level) for level in (grids[0].qmin, grids[0].qmax))
    return rng.uniform(low, high, shape).astype(dtype)


def _readers(graph: Graph, tensor: Tensor) -> list[Node]:
    """Returns the nodes that read a tensor, also behind casts, slices and the like."""
    table, found, seen, open_ = graph.consumers(), [], set(), [tensor]
    while open_:
        current = open_.pop()
        if current in seen:
            continue
        seen.add(current)
        for node in table[current]:
            found.append(node)
            if not isinstance(node.op, FakeQuant | Quantized | keras.layers.Embedding):
                open_ += node.outputs
    return found


def _layer(node: Node):
    return node.op.operation if isinstance(node.op, Quantized) else node.op
