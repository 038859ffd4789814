"""Warns where tensors of very different sizes share one grid."""

import warnings
from typing import Any

import numpy as np

from kqat.core.errors import SharedGridWarning
from kqat.keras_private import calls_inside
from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.layers.wiring import producer

LARGEST_RATIO = 16.0  # four of the bits of the smaller tensor


class SharedRanges:
    """Takes down how large the values of each tensor are that a `FakeQuant` is called on."""

    def __init__(self, model):
        self._model = model
        self._tops: dict[Any, list[float]] = {}
        self._call: dict[Any, int] = {}

    def start_batch(self) -> None:
        """Says that the model is about to be called: calls are counted anew."""
        self._call = dict.fromkeys(self._tops, 0)

    def update(self, fake_quant, x: np.ndarray) -> None:
        """Takes the values of a call into account; the calls of a batch come in the model's order."""
        tops, call = self._tops.setdefault(fake_quant, []), self._call.get(fake_quant, 0)
        if call == len(tops):
            tops.append(0.0)
        tops[call] = max(tops[call], float(np.abs(x).max(initial=0)))
        self._call[fake_quant] = call + 1

    def warn(self) -> None:
        """Warns of grids whose largest tensor is more than 16 times as large as the smallest."""
        for note in self.notes():
            warnings.warn(note, SharedGridWarning, stacklevel=3)

    def notes(self) -> list[str]:
        """Returns what there is to say of such grids."""
        found = []
        for layer, tops in self._tops.items():
            known = [top for top in tops if top > 0]
            if known and max(known) > LARGEST_RATIO * min(known):
                found.append(self._note(layer, tops))
        return found

    def _note(self, layer, tops) -> str:
        known = [_maker_name(tensor) for tensor in _tensors_read(self._model, layer)]
        known = known if len(known) == len(tops) else range(len(tops))
        names = [f"'{name}' up to {top:.3g}" for name, top in zip(known, tops, strict=True)]
        return (
            f"Tensors of very different sizes share the grid of '{layer.name}', and the small ones keep few "
            f"of its levels. Received: {', '.join(names)}. Where a concatenation joins them, give its parts "
            "grids of their own with recipe=[{'match': <its name>, 'share': False}] in kqat.quantize; where "
            "a layer is called several times, use a layer for each call, or scale the inputs alike."
        )


def has_shared_grids(model) -> bool:
    """Tells whether a functional model calls a `FakeQuant` on several tensors."""
    calls = [call.operation for call in calls_inside(model) if isinstance(call.operation, FakeQuant)]
    return len({id(layer) for layer in calls}) < len(calls)


def _maker_name(tensor) -> str:
    """Returns the name of the quantized layer that makes a tensor, or of the tensor."""
    made_by = producer(tensor)
    return made_by.name if isinstance(made_by, Quantized) else tensor.name


def _tensors_read(model, layer) -> list:
    """Returns the symbolic tensors that a model calls a layer on, in the order in which it does.

    Keras computes by depth, the farthest from the outputs first: not the order in which the model was built.
    """
    return [call.input_tensors[0] for call in calls_inside(model) if call.operation is layer]
