"""A tf_keras model in the layers that tfmot and the runtime know: nothing nested, no operators."""

from dataclasses import replace

import keras

from kqat.bridge.read_tf_keras import own_classes, read_tf_keras
from kqat.bridge.record import Call, Part, Place, Record
from kqat.bridge.write import Writer
from kqat.legacy.operators import call_layer
from kqat.legacy.tfmot.scheme import MORE, SPLIT
from kqat_runtime.optional import require

tf_keras = require("tf_keras", extra="tfmot")

# Activation functions that the runtime computes together with a convolution or a matrix product.
FUSED = ("linear", "relu", "relu6", "softmax")
WEIGHTED = (
    "Conv2D",
    "DepthwiseConv2D",
    "Dense",
    "Conv2DTranspose",
    *SPLIT,
    *(k for k in MORE if "Conv" in k),
)


def flat(model):
    """Returns a copy with nested models flattened and sums, products and activations as layers.

    Args:
        model: Built functional or Sequential tf_keras model.

    Raises:
        ConversionError: The model is subclassed, so its calls are not recorded.
    """
    record = with_activations(read_tf_keras(model))
    return Writer(tf_keras, call_layer, own_classes(model)).write(record)


def with_activations(record: Record) -> Record:
    """Returns a record in which activations that no kernel fuses are layers of their own.

    Inside of a layer their input has no grid, and the converter would compute the whole layer in float.
    """
    parts, calls = list(record.parts), []
    places = (place for call in record.calls for place in call.outputs)
    ports = (port.place for port in keras.tree.flatten(record.inputs))
    free = 1 + max(place.number for place in (*places, *ports))
    behind: dict[int, int] = {}
    for call in record.calls:
        part = record.parts[call.part]
        name = part.config.get("activation", "linear") if part.kind in WEIGHTED else "linear"
        if name in FUSED:
            calls.append(call)
            continue
        if call.part not in behind:
            behind[call.part] = len(parts)
            parts[call.part] = replace(part, config={**part.config, "activation": "linear"})
            parts.append(Part(f"{part.name}_{_label(name)}", "Activation", {"activation": name}))
        inner, free = Place(free), free + 1
        calls += [replace(call, outputs=(inner,)), Call(behind[call.part], (inner,), {}, call.outputs)]
    return replace(record, parts=parts, calls=calls)


def _label(activation) -> str:
    return activation if isinstance(activation, str) else "activation"
