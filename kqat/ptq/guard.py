"""Calibration that fails leaves the model as it was, and says what is wrong."""

import contextlib

import numpy as np

from kqat.core.finite import not_finite
from kqat.layers.fake_quant import FakeQuant
from kqat.ops.arrays import as_numpy


def require_finite(fake_quants, wrapped) -> None:
    """Checks what calibration has set."""
    state = [(f"the step of {f.name}", as_numpy(f.quantizer.grid().scale)) for f in fake_quants]
    state += [(v.path, as_numpy(v)) for layer in wrapped for v in layer.drift_variables]
    if found := not_finite(state):
        raise ValueError(
            f"The values that the model computes on this data overflow float32. Received: {found}. "
            "Use data as the model was trained on, prepared in the same way."
        )


@contextlib.contextmanager
def unchanged_on_failure(layers):
    """Puts back everything that calibration sets if it does not come to its end."""
    owners = [q for layer in layers for q in getattr(layer, "weight_quantizers", {}).values()]
    owners += [layer.quantizer for layer in layers if isinstance(layer, FakeQuant)]
    variables = [v for owner in owners for v in owner.variables]
    variables += [v for layer in layers for v in getattr(layer, "drift_variables", [])]
    before = [np.array(as_numpy(v)) for v in variables]
    try:
        yield
    except BaseException:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
        raise
