"""Loading models that hold kqat's layers."""

import keras

import kqat.constraints  # noqa: F401  (registers the constraints)
import kqat.layers  # noqa: F401  (registers the layers)
import kqat.metrics  # noqa: F401  (registers the metrics)
import kqat.optimizers  # noqa: F401  (registers the optimizers)
import kqat.quantizers  # noqa: F401  (registers the quantizers)
from kqat.core.recursion import deep_recursion


@deep_recursion()
def load_model(path, custom_objects=None, compile=True, safe_mode=True) -> keras.Model:
    """Returns the model that `model.save(path)` wrote, quantized layers included.

    Args:
        path: A `.keras` file.
        custom_objects: Further classes of the user's own, by name.
        compile: Whether to restore optimizer, loss and metrics.
        safe_mode: Whether to refuse configurations that run arbitrary code.

    Deep models need it: `keras.saving.load_model` hits Python's recursion limit at some 900 layers in a row.

    Invariant: outputs are bit-equal to those of the saved model.
    """
    return keras.saving.load_model(path, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode)
