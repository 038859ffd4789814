"""TensorFlow's converter: islands to files. The only module of export that uses TensorFlow.

It needs Keras on TensorFlow. Elsewhere it runs in a process of its own, see `process`.
"""

import logging
import re
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras

from kqat.core.errors import ExportError
from kqat.export.fallback import free_batch
from kqat.export.fallback.island import Call, Island
from kqat.keras_private import layers_of
from kqat.transforms.copying import copy_weights
from kqat_runtime.optional import require


def convert(island: Island) -> bytes:
    """Returns an island as a float `.tflite` file.

    Args:
        island: Its operations are objects, or configurations.

    Raises:
        ImportError: TensorFlow is not installed.
        ExportError: The converter, or an operation, refuses.
    """
    tf: Any = require("tensorflow", extra="tensorflow")
    try:
        island = replace(island, calls=tuple(map(_made, island.calls)))
        with warnings.catch_warnings(), _quiet():
            warnings.simplefilter("ignore")
            content = _converted(tf, island, None)
            if free_batch.is_free(content) or not any(shape[:1] == (None,) for shape, _ in island.inputs):
                return content
            return free_batch.merged(*(_converted(tf, island, size) for size in free_batch.SIZES)) or content
    except Exception as error:  # the converter raises bare Exceptions, and layers whatever they like
        raise ExportError(
            f"TensorFlow's converter refuses layer '{island.name}': {reason(str(error))} Received: "
            f"{island.kind}. Use another layer, or leave it out of the file."
        ) from error


def _converted(tf, island: Island, batch: int | None) -> bytes:
    shapes = [(batch, *shape[1:]) if shape[:1] == (None,) else shape for shape, _ in island.inputs]
    specs = [
        tf.TensorSpec(s, d, f"x{i}") for i, (s, (_, d)) in enumerate(zip(shapes, island.inputs, strict=True))
    ]
    run = lambda *inputs: island.run(inputs, tf.constant)  # noqa: E731
    concrete = tf.function(run, input_signature=specs, autograph=False).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


@contextmanager
def _quiet():
    """Keeps back the advice to hand over an object that owns the function's variables: there are none."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def reason(text: str) -> str:
    """Returns what the converter complains about, without the many lines on where it was."""
    errors = re.findall(r"error: (.+)", text)
    reason = "; ".join(dict.fromkeys(errors or text.strip().splitlines()[-1:]))[:600]
    return reason if reason.endswith(".") else f"{reason}."


def _made(call: Call) -> Call:
    """Returns a call of an operation that exists in this process, and that has no loops if possible."""
    op = call.op
    if isinstance(op, dict):
        op = keras.saving.deserialize_keras_object(op)
    return replace(call, op=_unrolled(op))


def _unrolled(op):
    """Returns a recurrent layer with its steps one after another: a loop would be a graph of its own.

    Anything without a loop is returned as it is.
    """
    if not any(isinstance(layer, keras.layers.RNN) for layer in layers_of(op)):
        return op
    config = op.get_config()
    if not _unroll(config):
        return op
    clone = type(op).from_config(config)
    clone.build(op.get_build_config()["input_shape"])
    copy_weights(op, clone)
    return clone


def _unroll(config) -> bool:
    """Sets `unroll` in a configuration, at any depth; returns whether that changed anything."""
    if not isinstance(config, dict):
        return False
    changed = config.get("unroll") is False
    if changed:
        config["unroll"] = True
    for value in config.values():
        changed |= _unroll(value)
    return changed
