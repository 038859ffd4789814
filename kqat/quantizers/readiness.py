"""Warns once where inference runs on ranges that nothing has set."""

import sys
import warnings
from importlib import import_module

import keras
import numpy as np

from kqat.core.errors import NotCalibratedWarning

_LIBRARIES = ("keras", "kqat", "tensorflow", "jax", "torch")


class Watch:
    """Takes the place of a variable's `assign`, so that Python knows a state that can change from outside.

    The variable itself cannot be asked where it matters: inside a compiled `predict` it is symbolic, and
    Keras's JAX trainer empties it meanwhile.

    Args:
        variable: The variable, of shape `()`.
        told: Called with each value that is assigned: a number, or a tensor that a training step computes.
    """

    def __init__(self, variable: keras.Variable, told):
        self.variable, self.told = variable, told
        variable.assign = self

    def __call__(self, value):
        """Assigns."""
        self.told(value if keras.ops.is_tensor(value) else float(np.asarray(value)))
        return type(self.variable).assign(self.variable, value)


def warn_unless_ready(quantizer) -> None:
    """Warns, once for a model, that its outputs mean nothing yet. To be called in inference.

    Args:
        quantizer: The quantizer that is about to compute. Costs nothing where its range is set.
    """
    if quantizer.ready:
        return
    model, level = _caller(quantizer)
    if model is None:
        return
    find = import_module("kqat.quantizers.find").find  # which imports the quantizers
    places = [place for place in find(model) if not getattr(place.quantizer, "ready", True)]
    for place in places:
        place.quantizer.ready = True  # told
    names = ", ".join(place.path for place in places[:5]) + (", ..." if len(places) > 5 else "")
    warnings.warn(
        f"The outputs mean nothing yet: {len(places)} quantizers of '{model.name}' have no range, and round "
        f"to a default one. Received: {names}. Call kqat.calibrate(model, data), or train the model with "
        "fit, first.",
        NotCalibratedWarning,
        stacklevel=level,
    )


def _caller(quantizer):
    """Returns the outermost layer that is being called, and the distance to the code that called it.

    Returns `None` for a layer where Keras only asks for shapes. The call stack is what every backend has,
    eager and while it compiles: JAX's trainer does not go through a model's `__call__`.
    """
    frame, level, model, outside = sys._getframe(2), 2, quantizer, None
    while frame is not None:
        if frame.f_code.co_name in ("_symbolic_build", "compute_output_spec"):
            return None, 0
        owner = frame.f_locals.get("self")
        if isinstance(owner, keras.Model) or (isinstance(owner, keras.layers.Layer) and model is quantizer):
            model, outside = owner, None
        if outside is None and frame.f_globals.get("__name__", "").split(".")[0] not in _LIBRARIES:
            outside = level
        frame, level = frame.f_back, level + 1
    return model, outside or 2
