"""tfmot's 8-bit scheme with configs of ours: its layout transforms decide what is rounded where."""

from collections.abc import Callable

from kqat.legacy.tfmot.config import Config
from kqat.legacy.tfmot.in_order import inputs_in_order
from kqat_runtime.optional import require

tfmot = require("tensorflow_model_optimization", extra="tfmot")
_library = tfmot.quantization.keras
_default = _library.default_8bit

# Activation functions inside of a layer that tfmot rounds; behind others the output of the layer is rounded.
INSIDE = ("linear", "relu", "relu6", "softmax", "sigmoid", "tanh", "swish", "gelu", "NoOpActivation")
# Outputs that the runtime's kernel puts on a grid of its own, whatever was observed: its ends.
FIXED = {"softmax": [0.0, 255 / 256], "sigmoid": [0.0, 255 / 256], "tanh": [-1.0, 127 / 128]}
SPLIT = ("SeparableConv1D", "SeparableConv2D")  # the layout makes two layers of each
# Layers that tfmot refuses: the weights to round, and whether to round the output.
MORE: dict[str, tuple[tuple[str, ...], bool]] = {
    **dict.fromkeys(("Conv1D", "Conv3D"), (("kernel",), True)),
    **dict.fromkeys(("BatchNormalization", "Multiply", "Subtract", "Average", "ELU", "PReLU"), ((), True)),
    **dict.fromkeys(("Rescaling", "Normalization"), ((), True)),
    **dict.fromkeys(("LayerScale", "CustomScaleLayer"), ((), True)),  # of the applications
    # Computed in float; rounded, their results let the matrix product behind them be one of integers.
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "UnitNormalization"), ((), True)),
    **dict.fromkeys(("MaxPooling1D", "UpSampling1D", "RepeatVector"), ((), False)),
    # The runtime's kernel puts the output on the grid of the input; tfmot gives it one of its own, which the
    # converter refuses where the two differ.
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), ((), False)),
}  # fmt: skip


class Registry(_default.Default8BitQuantizeRegistry):
    """The layers that can be quantized: tfmot's and `MORE`.

    Args:
        widths: Returns the widths `(weights, activations)` for the name of a layer.
    """

    def __init__(self, widths: Callable[[str], tuple[int, int]]):
        super().__init__()
        self.widths = widths

    def supports(self, layer):
        """Tells whether a layer can be quantized."""
        return type(layer).__name__ in MORE or super().supports(layer)

    def get_quantize_config(self, layer):
        """Returns what is quantized of a layer by default."""
        kind, name = type(layer).__name__, layer.name
        if kind in MORE:
            weights, output = MORE[kind]
            return Config(weights, (), output, self.widths(name), _rounds_bias(layer, weights, output))
        if kind in ("Activation", "Softmax"):
            fixed = FIXED.get("softmax" if kind == "Softmax" else _function(layer.activation))
            return Config((), (), fixed is None, self.widths(name), fixed=fixed)
        return self.translated(super().get_quantize_config(layer), layer)

    def translated(self, config, layer) -> Config:
        """Returns a config of tfmot as one of ours."""
        weights = getattr(config, "weight_attrs", [])
        activations = getattr(config, "activation_attrs", [])
        output = getattr(config, "quantize_output", False)
        if activations and _function(layer.activation) not in INSIDE:
            activations, output = [], True
        rounds = _rounds_bias(layer, weights, output or activations)
        fixed = FIXED.get(_function(layer.activation)) if activations else None
        return Config(weights, activations, output, self.widths(layer.name), rounds, fixed)


def takes(registry: Registry, layer) -> bool:
    """Tells whether a layer can be quantized, as it is or in the parts that the layout makes of it."""
    return type(layer).__name__ in SPLIT or registry.supports(layer)


class Layout(_default.Default8BitQuantizeLayoutTransform):
    """tfmot's layout transforms; what they decided is said in configs of ours.

    Args:
        registry: The registry.
    """

    def __init__(self, registry: Registry):
        self.registry = registry

    def apply(self, model, layer_quantize_map):
        """Returns the model in the layout of the runtime, and the config of each layer."""
        with inputs_in_order():
            model, found = super().apply(model, layer_quantize_map)
        for name, entry in found.items():
            config = entry.get("quantize_config")
            if config is not None and not isinstance(config, Config):
                entry["quantize_config"] = self.registry.translated(config, model.get_layer(name))
        return model, found


class Scheme(_library.QuantizeScheme):
    """Registry and layout, as tfmot takes them.

    Args:
        registry: The registry.
    """

    def __init__(self, registry: Registry):
        self.registry = registry

    def get_layout_transformer(self):
        """Returns the layout transforms."""
        return Layout(self.registry)

    def get_quantize_registry(self):
        """Returns the registry."""
        return self.registry


def _rounds_bias(layer, weights, ends) -> bool:
    """Whether the file adds the bias of the layer itself, with nothing of a layer behind it folded in."""
    return bool(weights and ends and getattr(layer, "use_bias", False))


def _function(activation) -> str:
    inner = getattr(activation, "activation", activation)
    return getattr(inner, "__name__", type(inner).__name__)
