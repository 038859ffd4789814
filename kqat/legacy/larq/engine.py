"""`quantize` to one bit: convolutions and dense layers become larq's."""

from dataclasses import replace
from types import SimpleNamespace

import keras

from kqat.bridge import convert
from kqat.bridge.read_tf_keras import own_classes, read_tf_keras
from kqat.bridge.record import Part, Record
from kqat.bridge.write import Writer
from kqat.core.errors import PlanError
from kqat.core.spec import LayerPlan, TensorPlan, WeightPlan
from kqat.legacy.operators import call_operator
from kqat.tf_keras_private import layers_of
from kqat.transforms.plan import Plan, Settings, check_patterns, settings
from kqat_runtime.optional import require

SWAPPED = {"Conv2D": "QuantConv2D", "Dense": "QuantDense"}
WEIGHTED = (*SWAPPED, "Conv1D", "Conv3D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose")
BINARY = {
    "input_quantizer": "ste_sign",
    "kernel_quantizer": "ste_sign",
    "kernel_constraint": "weight_clip",
}


def quantize(model, bits=1, **options):
    """Returns a binary copy of a model: weights and inputs of its convolutions and dense layers are ±1.

    The first and the last weighted layer stay as they are: one bit of an image, or of what the classes are
    told from, is too little.

    Args:
        model: Built functional or Sequential tf_keras model, or a Keras 3 model, which is converted first.
        bits: 1.
        **options: As for `kqat.quantize`: `include`, `exclude`, `recipe`, `strict`.

    Returns:
        A tf_keras model with layers of larq.

    Raises:
        PlanError: An argument is wrong, or no layer is left to binarize.
        ConversionError: The model is subclassed, so its calls are not recorded.
    """
    model, config = _model(model), settings(bits, **options)
    record, plan = _planned(model, config)
    larq = require("larq", extra="larq")
    swapped = {layer.path for layer in plan if layer.mode == "quantized"}
    if not swapped:
        raise PlanError(
            f"No layer of model '{model.name}' becomes binary. Received: {[p.path for p in plan]}. Binary "
            "are Conv2D and Dense layers that are neither the first nor the last weighted layer."
        )
    parts = [_binary(part) if part.name in swapped else part for part in record.parts]
    classes = {**own_classes(model), **{name: getattr(larq.layers, name) for name in SWAPPED.values()}}
    return Writer(require("tf_keras", extra="larq"), call_operator, classes).write(
        replace(record, parts=parts)
    )


def plan(model, bits=1, **options) -> Plan:
    """Returns what `quantize` with the same arguments does to each layer."""
    return _planned(_model(model), settings(bits, **options))[1]


def _model(model):
    return convert(model, to="tf_keras") if isinstance(model, keras.Model) else model


def _planned(model, config: Settings) -> tuple[Record, Plan]:
    record = read_tf_keras(model)
    layers = {layer.name.replace("/", "_"): layer for layer in layers_of(model, itself=False)}
    nodes = [SimpleNamespace(path=part.name, op=layers.get(part.name)) for part in record.parts]
    check_patterns(config, nodes)
    weighted = [part.name for part in record.parts if part.kind in WEIGHTED]
    ends = {name: f"{end} weighted layer" for end, name in (("last", weighted[-1]), ("first", weighted[0]))}
    pairs = zip(record.parts, nodes, strict=True)
    entries = [_entry(part, ends.get(part.name) or config.excluded(node)) for part, node in pairs]
    return record, Plan(model.name, tuple(entries))


def _entry(part: Part, kept: str | None) -> LayerPlan:
    if kept or part.kind not in SWAPPED:
        reason = kept if part.kind in WEIGHTED and kept else "computes on what comes in"
        return LayerPlan(part.name, part.name, part.kind, "float", reason)
    weights = {"kernel": WeightPlan(1, "ste_sign", None)}
    grid = TensorPlan(1, "ste_sign", True, f"{part.name}_input")
    return LayerPlan(part.name, part.name, part.kind, "quantized", "", weights=weights, output=grid)


def _binary(part: Part) -> Part:
    settings = {**part.config, **BINARY, **({"pad_values": 1.0} if part.kind == "Conv2D" else {})}
    return replace(part, kind=SWAPPED[part.kind], config=settings)
