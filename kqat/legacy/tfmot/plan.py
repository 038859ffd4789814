"""What tfmot made of each layer, as a plan of kqat's."""

from types import SimpleNamespace

from kqat.core.spec import LayerPlan, TensorPlan, WeightPlan
from kqat.legacy.tfmot.config import Config
from kqat.legacy.tfmot.scheme import SPLIT
from kqat.transforms.plan import Plan, Settings


def subjects(model) -> list[SimpleNamespace]:
    """Returns the layers of a flat model in the form that patterns are tried on."""
    return [SimpleNamespace(path=layer.name, op=layer) for layer in model.layers]


def plan(model, quantized, settings: Settings) -> Plan:
    """Returns the plan of a quantized model.

    Args:
        model: Flat float model.
        quantized: What tfmot made of it.
        settings: Checked arguments of `quantize`.
    """
    wrapped = {layer.layer.name: layer.quantize_config for layer in quantized.layers if _is_wrapper(layer)}
    entries = [_entry(node, wrapped.get(node.path), settings) for node in subjects(model)]
    return Plan(model.name, tuple(entries))


def _is_wrapper(layer) -> bool:
    return hasattr(layer, "quantize_config") and hasattr(layer, "layer")


def _entry(node, config: Config | None, settings: Settings) -> LayerPlan:
    common = (node.path, f"quant_{node.path}", type(node.op).__name__)
    if type(node.op).__name__ == "InputLayer":
        return LayerPlan(node.path, node.path, "Input", "passthrough", "model input")
    if common[2] in SPLIT and settings.excluded(node) is None:
        return LayerPlan(*common, "quantized", "a depthwise and a pointwise convolution")
    if config is None:
        wish = settings.excluded(node)
        reason, cause = (
            (wish, "excluded") if wish else (f"no quantization rule for {common[2]}", "unsupported")
        )
        return LayerPlan(node.path, node.path, common[2], "float", reason, cause=cause)
    if not isinstance(config, Config):  # tfmot's own: the output alone, for a quantized layer behind
        output = TensorPlan(settings.bits.activations, "ema", None, f"{node.path}_output")
        return LayerPlan(*common, "float", settings.excluded(node) or "", output=output)
    if config.is_empty:
        return LayerPlan(*common, "passthrough", "its grid is that of a neighbour")
    weights = {name: WeightPlan(config.bits[0], "minmax", None) for name in config.weights}
    rounds = config.output or config.activations or config.fixed
    output = TensorPlan(config.bits[1], "ema", None, f"{node.path}_output") if rounds else None
    return LayerPlan(*common, "quantized", "", weights=weights, output=output)
