"""Models of which nothing is quantized: said once by `quantize`, and remembered for `calibrate`."""

import keras

from kqat.transforms.plan import Plan

_SHOWN = 8
_REMEMBERED = "_kqat_nothing"  # attribute of the model; no file keeps it


def why_nothing(plan: Plan) -> str | None:
    """Returns the layers of a plan with the reason why each is float, or `None` if one is quantized."""
    layers = [layer for layer in plan if layer.kind != "Input"]
    if any(layer.mode == "quantized" for layer in layers):
        return None
    listed = [f"{layer.path} ({layer.kind}): {layer.reason}" for layer in layers]
    more = [f"and {len(listed) - _SHOWN} more"] if len(listed) > _SHOWN else []
    return "; ".join([*listed[:_SHOWN], *more]) or "it has no layers"


def note_nothing(model: keras.Model, why: str) -> None:
    """Remembers why nothing of a model is quantized, as long as it lives."""
    setattr(model, _REMEMBERED, why)


def nothing_to_calibrate(model: keras.Model) -> str:
    """Returns the message about a model without quantizers."""
    why = getattr(model, _REMEMBERED, None)
    if why is not None:
        return f"Model '{model.name}' has nothing to calibrate, nothing of it is quantized: {why}."
    layers = [f"{layer.name} ({type(layer).__name__})" for layer in model.layers]
    layers = [layer for layer in layers if not layer.endswith("(InputLayer)")]
    return (
        f"Model '{model.name}' has nothing to calibrate: it has no quantizers. Received: layers "
        f"{', '.join(layers[:_SHOWN])}. Use the model that kqat.quantize returns, if that quantizes any of "
        "them: print(kqat.plan(model))."
    )
