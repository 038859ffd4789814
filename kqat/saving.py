"""Loading models that hold kqat's layers."""

from functools import partial

import keras

from kqat.core.keras_file import stored_numbers
from kqat.core.types import PathLike
from kqat.layers.revived import require_finite, revived


def load_model(
    path: PathLike, custom_objects: dict | None = None, compile: bool = True, safe_mode: bool = True
) -> keras.Model:
    """Returns the model that `model.save(path)` wrote, quantized layers included.

    The file may be of unknown origin: what it asks for is checked before Keras reads it, in a process of its
    own where that is HDF5. `keras.saving.load_model` reads the same files without these checks.

    Args:
        path: A `.keras` file.
        custom_objects: Further custom classes, by name.
        compile: Whether to restore optimizer, loss and metrics.
        safe_mode: Whether to refuse configurations that run arbitrary code.

    Threads: may call it at any time.

    Raises:
        CheckpointError: The file cannot be read, is damaged, describes no model that can be made here, or
            holds weights that are not finite.

    Deep models need it: `keras.saving.load_model` hits Python's recursion limit at some 900 layers in a row.

    Invariant: outputs are bit-equal to those of the saved model.
    """
    stored = stored_numbers(path)
    make = partial(
        keras.saving.load_model, path, custom_objects=custom_objects, compile=compile, safe_mode=safe_mode
    )
    model = revived(make, stored, path)
    require_finite(model, path)
    return model
