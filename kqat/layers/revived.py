"""Models from descriptions that a stranger may have written: any failure is one kind of error."""

from collections.abc import Callable

import keras
import numpy as np

from kqat.core.errors import CheckpointError
from kqat.core.recursion import deep_recursion
from kqat.layers.memory_bound import room_for_weights
from kqat.ops.arrays import as_numpy

_SPARE = 2**20  # numbers that a file need not hold, such as quantizers' state that is made anew


@deep_recursion()
def revived(make: Callable[[], object], stored: int, path) -> keras.Model:
    """Returns the model that a function makes from a file.

    Args:
        make: Function without arguments that has Keras read the file.
        stored: How many numbers the file can hold.
        path: The file, for messages.

    Raises:
        CheckpointError: The function fails in whatever way, asks for more memory than the file can need, or
            makes something else.
    """
    try:
        with room_for_weights(stored + _SPARE):
            model = make()
    except CheckpointError:
        raise
    except Exception as error:  # Keras trusts its input: any kind of error can come out
        said = " ".join(f"{type(error).__name__}: {error}".split())[:800]
        raise CheckpointError(
            "The file does not describe a model that can be made here. Received: "
            f"'{path}': {said}. Use a file of this version whose custom classes are registered or in "
            "custom_objects."
        ) from error
    if not isinstance(model, keras.Model):
        raise CheckpointError(
            "The checkpoint is damaged, or is none. Received: "
            f"'{path}' with a {type(model).__name__} in place of a model. Use a file that was written from a "
            "model."
        )
    return model


def require_finite(model: keras.Model, path) -> None:
    """Checks the weights of a model from a file.

    Raises:
        CheckpointError: One of them is not finite.
    """
    for variable in model.variables:
        values = as_numpy(variable)
        if values.dtype.kind not in "biuOSU" and not np.all(np.isfinite(values)):
            raise CheckpointError(
                "The file holds weights that are not finite. Received: "
                f"'{path}', weight '{variable.path}'. Use a file of a model that was trained without "
                "overflow."
            )
