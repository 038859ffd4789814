"""A tf_keras model whose calls are layers: nested models flattened, operators as layers that tfmot knows."""

from kqat.core.optional import require
from kqat.legacy.bridge.read_tf_keras import own_classes, read_tf_keras
from kqat.legacy.bridge.write import Writer
from kqat.legacy.operators import call_layer

tf_keras = require("tf_keras", extra="tfmot")


def flat(model):
    """Returns a copy with nested models flattened and sums and products as layers.

    Args:
        model: Built functional or Sequential tf_keras model.

    Raises:
        ConversionError: The model is subclassed, so its calls are not recorded.
    """
    return Writer(tf_keras, call_layer, own_classes(model)).write(read_tf_keras(model))
