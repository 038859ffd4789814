"""The verb."""

from typing import Any

import keras

from kqat import layers
from kqat.bridge import to_keras, to_tensorflow
from kqat.bridge.read_keras import read_keras
from kqat.bridge.read_tf_keras import read_tf_keras
from kqat.bridge.write import Writer
from kqat.core.errors import ConversionError
from kqat.core.recognize import is_tf_keras
from kqat_runtime.optional import require

LIBRARIES = ("keras", "tf_keras")


def convert(model: Any, to: str, custom_objects: dict | None = None) -> Any:
    """Returns a model of one Keras version as one of the other: architecture and weights.

    Nested models are flattened. The result is not compiled. Layers of larq become those of kqat with the same
    name and the same quantizers.

    Args:
        model: Built model of Keras 3, or Sequential or functional model of tf_keras.
        to: `"keras"` or `"tf_keras"`. A model that is of that version already is returned as it is.
        custom_objects: Classes of the other version for layers that Keras does not have, by the name of the
            class in the model. Their `get_config` is that of the model's layer.

    Threads: one at a time.

    Raises:
        ConversionError: A layer, an argument or an operation has no counterpart.
        TraceError: The calls of a subclassed model cannot be recorded.
        ValueError: `to` is neither.

    Invariant: the outputs of the two models differ by float rounding only.
    """
    if to not in LIBRARIES:
        raise ValueError(f"Unknown version of Keras. Received: to={to!r}. Use one of {LIBRARIES}.")
    source = "keras" if isinstance(model, keras.Model) else "tf_keras"
    if source == to:
        return model
    if to == "keras":
        _require_model(model)
        classes = {**_quant_layers(), **(custom_objects or {})}
        return Writer(keras, to_keras.operation, classes).write(read_tf_keras(model))
    tf_keras = require("tf_keras", extra="tfmot")
    return Writer(tf_keras, to_tensorflow.operation, custom_objects).write(read_keras(model))


def _quant_layers() -> dict[str, type]:
    """Returns the counterparts of larq's layers, by name."""
    return {name: getattr(layers, name) for name in layers.__all__ if name.startswith("Quant")}


def _require_model(model) -> None:
    if not is_tf_keras(model):
        raise ConversionError(
            f"convert works on models of Keras 3 and of tf_keras. Received: {type(model).__module__}."
            f"{type(model).__name__}. Use a keras.Model or a tf_keras.Model."
        )
