"""Measures on random inputs how far a file with islands is from its model."""

from dataclasses import dataclass

import keras
import numpy as np

from kqat.core.errors import ExportError
from kqat.export.comparing.layers import output_scales
from kqat.export.fallback.sample import sample_inputs
from kqat.ops.arrays import as_numpy
from kqat.transforms.nodes import Graph
from kqat_runtime.running.runtime import Runtime

SAMPLES = 16
ALLOWED = 1.0  # float arithmetic that sums in another order moves a value between two levels to either side
_STEPS = 255  # of a float output, which has no steps of its own, between 0 and its largest value


@dataclass(frozen=True)
class Difference:
    """How far a file is from its model.

    Args:
        lsb: Largest difference, in steps of the output's grid.
        output: Name of the output.
        samples: Number of random samples.
    """

    lsb: float
    output: str
    samples: int

    def __str__(self):
        return f"{self.lsb:.4g} LSB on {self.samples} random samples"


def measure(model: keras.Model, graph: Graph, content: bytes) -> Difference:
    """Returns how far a file is from its model on random inputs.

    Args:
        model: The Keras model.
        graph: What was written.
        content: The file.
    """
    arrays = sample_inputs(graph, SAMPLES)
    tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
    ours = keras.tree.flatten(model(keras.tree.pack_sequence_as(graph.inputs, tensors), training=False))
    with Runtime(content) as runtime:
        theirs = runtime.run(arrays, batch_size=len(arrays[0]))
        names = [port.name for port in runtime.outputs]
    worst = Difference(0.0, names[0], len(arrays[0]))
    for name, mine, other, scale in zip(names, ours, theirs, output_scales(content), strict=True):
        lsb = _steps(as_numpy(mine).astype(np.float64), other.astype(np.float64), scale)
        if lsb > worst.lsb:
            worst = Difference(lsb, name, worst.samples)
    return worst


def demand_close(difference: Difference, islands: str) -> None:
    """Raises an `ExportError` where a file differs by more than a step."""
    if difference.lsb > ALLOWED:
        raise ExportError(
            f"The file computes something else than the model: output '{difference.output}' differs by "
            f"{difference}. Received: {islands}, written by TensorFlow's converter. Use other layers, or "
            "fallback='unchecked' to get the file nevertheless."
        )


def _steps(mine: np.ndarray, other: np.ndarray, scale: float | None) -> float:
    if mine.shape != other.shape:
        return float("inf")
    different = mine != other
    different &= ~(np.isnan(mine) & np.isnan(other))
    if not different.any():
        return 0.0
    size = np.abs(mine, where=np.isfinite(mine), out=np.zeros(mine.shape)).max()
    step = scale if scale is not None else max(float(size), np.finfo(np.float32).tiny) / _STEPS
    lsb = np.abs(mine[different] - other[different]) / step
    return float(np.nan_to_num(lsb, nan=np.inf).max())
