"""What a step of calibration works on."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

import keras
import numpy as np
from keras import ops

from kqat.layers.quantized import Quantized
from kqat.ops.arrays import as_numpy
from kqat.ptq.correct import Correction
from kqat.ptq.moments import MomentsOfInputs
from kqat.quantizers.roundings import ChosenRoundings

NARROW = 8  # bits from which on the nearest level is good enough


@dataclass(frozen=True)
class Weight:
    """A weight whose levels can be chosen.

    Args:
        layer: The layer that it belongs to.
        quantizer: Its quantizer.
        variable: The weight itself.
        values: Its values in float, in the layout of the kernel.
    """

    layer: Quantized
    quantizer: ChosenRoundings
    variable: keras.Variable
    values: np.ndarray

    @property
    def scale(self) -> np.ndarray:
        """The step, real units, in the shape of the quantizer's."""
        return np.array(as_numpy(self.quantizer.grid().scale), np.float32)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest level."""
        grid = self.quantizer.grid()
        return float(as_numpy(grid.qmin)), float(as_numpy(grid.qmax))


@dataclass
class Work:
    """A quantized model with ranges, and what is known of the float one.

    Args:
        model: The model.
        layers: Its `Quantized` layers.
        batches: Inputs to learn from, as tensors in the model's structure.
        held: Inputs that steps are judged by, which they are not to learn from.
        moments: Second moments of what the layers read in float, by layer.
        correction: What has seen the means and variances of the float model's layers, batch by batch.
        corrected: Whether means and variances of the layers' outputs are corrected after a step.
        free_scales: Whether steps of weights may be changed; else they are kept as they were learned.
        seed: Of everything random.
        shown: Whether progress is shown.
        effort: How much a step is to do; everything, where it was asked for by name.
    """

    model: keras.Model
    layers: list[Quantized]
    batches: list
    held: list
    moments: MomentsOfInputs
    correction: Correction
    corrected: bool = True
    free_scales: bool = True
    seed: int = 0
    shown: bool = False
    effort: str = "fast"

    def weights(self) -> Iterator[Weight]:
        """Yields the weights below 8 bits whose levels can be chosen, in the order of the layers."""
        return narrow_weights(self.layers)

    def centered(self, layer: Quantized) -> bool:
        """Whether the mean of a layer's output is corrected, so that only the error around it matters."""
        return self.corrected and layer.drift is not None


def narrow_weights(layers: Iterable[Quantized]) -> Iterator[Weight]:
    """Yields the weights of layers that have less than 8 bits and whose levels can be chosen."""
    for layer in layers:
        for name, quantizer in layer.weight_quantizers.items():
            chosen = isinstance(quantizer, ChosenRoundings) and quantizer.offset is not None
            if chosen and quantizer.bits < NARROW:
                variable = attrgetter(name)(layer.operation)
                yield Weight(layer, quantizer, variable, np.array(as_numpy(variable)))


def start_at_levels(weights: Iterable[Weight]) -> None:
    """Moves weights whose rounding was chosen to their levels: there training goes on from."""
    for weight in weights:
        levels = as_numpy(weight.quantizer.to_levels(ops.convert_to_tensor(weight.values)))
        chosen = as_numpy(weight.quantizer.offset) != 0
        weight.variable.assign(np.where(chosen, levels * weight.scale, weight.values))
        weight.quantizer.clear_offset()
