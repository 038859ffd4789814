"""`quantize` for tf_keras models: annotate, apply, and say what came of it."""

import warnings

import keras

from kqat.bridge import convert
from kqat.bridge.read_tf_keras import own_classes
from kqat.core.errors import FallbackWarning, PlanError
from kqat.legacy.tfmot import plan as plans
from kqat.legacy.tfmot.biases import BiasQuantizer
from kqat.legacy.tfmot.config import Config
from kqat.legacy.tfmot.flat import flat
from kqat.legacy.tfmot.quantizers import FixedQuantizer, RangeQuantizer, WeightQuantizer
from kqat.legacy.tfmot.repair import repaired
from kqat.legacy.tfmot.scheme import Registry, Scheme, takes
from kqat.tf_keras_private import layers_of, with_lambdas
from kqat.transforms.plan import Plan, Settings, check_patterns, settings
from kqat_runtime.optional import require

tfmot = require("tensorflow_model_optimization", extra="tfmot")
_library = tfmot.quantization.keras
WIDTHS = range(2, 9)
OBJECTS = {
    cls.__name__: cls for cls in (Config, BiasQuantizer, FixedQuantizer, RangeQuantizer, WeightQuantizer)
}


def quantize(model, bits=8, **options):
    """Returns a quantization-aware copy of a model, made by tfmot.

    Args:
        model: Built functional or Sequential tf_keras model, or a Keras 3 model, which is converted first.
        bits: As for `kqat.quantize`; widths are 2 to 8.
        **options: As for `kqat.quantize`; `quantizer`, `stream_bits`, `boundary_bits` have no meaning here.

    Returns:
        A tf_keras model.

    Raises:
        PlanError: An argument is wrong, or `strict=True` and a layer stays float for lack of support.
        ConversionError: The model is subclassed, or a layer has no counterpart in tf_keras.
    """
    return _quantized(model, settings(bits, **options))[0]


def plan(model, bits=8, **options) -> Plan:
    """Returns what `quantize` with the same arguments does to each layer."""
    return _quantized(model, settings(bits, **options))[1]


def _quantized(model, config: Settings):
    _check(config)
    if isinstance(model, keras.Model):
        warnings.warn(
            f"Model '{model.name}' is converted from Keras 3 to tf_keras, which is what tfmot takes; the "
            "quantized model is one of tf_keras.",
            FallbackWarning,
            stacklevel=4,
        )
        model = convert(model, to="tf_keras")
    if any(hasattr(layer, "quantize_config") for layer in layers_of(model)):
        raise PlanError(
            f"Model '{model.name}' is quantized already. Received: a model with layers of tfmot. "
            "Use strip_fake_quant(model) first."
        )
    source = flat(model)
    nodes = {node.path: node for node in plans.subjects(source)}
    check_patterns(config, nodes.values())
    registry = Registry(lambda name: _widths(nodes, name, config))
    annotated = _annotated(source, nodes, registry, config)
    # tfmot splits a SeparableConv1D with Lambda layers, and rebuilds the model from its own configuration.
    with _library.quantize_scope({**own_classes(source), **OBJECTS}), with_lambdas():
        quantized = _library.quantize_apply(annotated, Scheme(registry))
        quantized = repaired(quantized, max(8, config.bits.activations))
    found = plans.plan(source, quantized, config)
    _check_strict(found, config)
    return quantized, found


def _annotated(source, nodes, registry: Registry, config: Settings):
    """Returns a copy whose layers are annotated where they are to be quantized."""

    def annotate(layer):
        wanted = takes(registry, layer) and config.excluded(nodes[layer.name]) is None
        return _library.quantize_annotate_layer(layer) if wanted else layer

    library = require("tf_keras", extra="tfmot")
    if not any(takes(registry, n.op) and config.excluded(n) is None for n in nodes.values()):
        raise PlanError(f"Nothing of model '{source.name}' can be quantized. Received: {config.patterns}.")
    annotated = library.models.clone_model(source, clone_function=lambda layer: annotate(_copy(layer)))
    annotated.set_weights(source.get_weights())
    return annotated


def _copy(layer):
    return type(layer).from_config(layer.get_config())


def _widths(nodes, name: str, config: Settings) -> tuple[int, int]:
    rule = config.rule_for(nodes[name]) if name in nodes else None
    weights, activations = config.bits.weights, config.bits.activations
    if rule is None:
        return weights, activations
    return rule.weight_bits or weights, rule.activation_bits or rule.input_bits or activations


def _check(config: Settings) -> None:
    widths = [config.bits.weights, config.bits.activations]
    widths += [
        b
        for rule in config.rules
        for b in (rule.weight_bits, rule.input_bits, rule.activation_bits)
        if b is not None
    ]
    wrong = [bits for bits in widths if bits not in WIDTHS]
    if wrong:
        raise PlanError(
            f"The tfmot engine quantizes to 2 to 8 bits. Received: bits={wrong[0]}. Use engine='native' on a "
            "Keras 3 model."
        )


def _check_strict(found: Plan, config: Settings) -> None:
    left = [layer for layer in found.float_layers if layer.cause == "unsupported"]
    if config.strict and left:
        listed = "; ".join(f"{layer.path} ({layer.kind})" for layer in left)
        raise PlanError(f"strict=True and these layers stay float: {listed}. Exclude them.")
