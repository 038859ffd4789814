"""Takes fake quantization out of a tf_keras model: tfmot's wrappers and bare fake-quant operators alike."""

from dataclasses import replace

import keras
import numpy as np

from kqat.bridge.read_tf_keras import own_classes, read_tf_keras
from kqat.bridge.record import Call, Part, Place, Record
from kqat.bridge.write import Writer
from kqat.tf_keras_private import layers_of
from kqat_runtime.optional import require

FAKE = "fake_quant_with_min_max"
WRAPPERS = ("QuantizeWrapper", "QuantizeWrapperV2", "QuantizeAnnotate")
NOTHING = ("QuantizeLayer", "InputRange")


def strip_fake_quant(model):
    """Returns the float model: every layer with its trained weights, no quantization.

    Nested models are flattened.

    Args:
        model: Functional or Sequential tf_keras model. It is not changed, nor is its compiled state.

    Raises:
        ConversionError: The model is subclassed, so its calls are not recorded.
    """
    from kqat.legacy.operators import call_operator  # needs TensorFlow

    tf_keras = require("tf_keras", extra="tfmot")
    record = read_tf_keras(model)
    layers = {layer.name.replace("/", "_"): layer for layer in layers_of(model, itself=False)}
    parts = [_float_part(part, layers.get(part.name)) for part in record.parts]
    return Writer(tf_keras, call_operator, own_classes(model)).write(
        _without_fakes(replace(record, parts=parts))
    )


def _without_fakes(record: Record) -> Record:
    """Returns the record with calls that only round left out."""
    passed: dict[Place, Place] = {}
    swap = lambda leaf: passed.get(leaf, leaf) if isinstance(leaf, Place) else leaf  # noqa: E731
    calls: list[Call] = []
    for call in record.calls:
        args, kwargs = keras.tree.map_structure(swap, (call.args, call.kwargs))
        if _is_fake(record.parts[call.part]):
            leaves = keras.tree.flatten((args, kwargs))
            passed[call.outputs[0]] = next(leaf for leaf in leaves if isinstance(leaf, Place))
        else:
            calls.append(replace(call, args=args, kwargs=kwargs))
    outputs = keras.tree.map_structure(swap, record.outputs)
    return replace(record, calls=calls, outputs=outputs)


def _is_fake(part: Part) -> bool:
    return part.kind in NOTHING or FAKE in part.kind


def _float_part(part: Part, layer) -> Part:
    """Returns the part of the layer inside of a wrapper; others as they are."""
    if part.kind not in WRAPPERS:
        return part
    inner = layer.layer
    config = {**inner.get_config(), "activation": _activation(inner)}
    if not hasattr(inner, "activation"):
        del config["activation"]
    weights = _weights(layer, inner, config)
    return Part(inner.name, type(inner).__name__, config, weights, inner.trainable)


def _activation(inner):
    """Returns the name of the activation function inside of a layer, under what tfmot put around it."""
    function = getattr(inner, "activation", None)
    function = getattr(function, "activation", function)
    if function is None or type(function).__name__ == "NoOpActivation":
        return "linear"
    return require("tf_keras", extra="tfmot").activations.serialize(function, use_legacy_format=True)


def _weights(wrapper, inner, config) -> list[np.ndarray]:
    """Returns the weights in the order of the bare layer: tfmot moves the quantized ones into the wrapper."""
    known = {_base(weight.name): weight for weight in inner.weights}
    known |= {_base(weight.name): weight for weight, *_ in getattr(wrapper, "_weight_vars", [])}
    bare = type(inner).from_config(config)
    bare.build(wrapper.get_input_shape_at(0))
    return [np.array(known[_base(weight.name)]) for weight in bare.weights]


def _base(name: str) -> str:
    return name.split(":")[0].rsplit("/", 1)[-1]
