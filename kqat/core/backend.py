"""Says which backend Keras lacks, and which ones are there."""

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

BACKENDS = ("tensorflow", "jax", "torch")
INSTALL = "pip install 'kqat[tensorflow]', 'kqat[jax]' or 'kqat[torch]'"


def import_keras() -> ModuleType:
    """Returns Keras, which takes the backend with it.

    Raises:
        ImportError: The backend that Keras wants is not installed; the message says which ones are.
    """
    try:
        return import_module("keras")
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        found = [name for name in BACKENDS if find_spec(name) is not None]
        wanted = os.environ.get("KERAS_BACKEND")
        said = f"KERAS_BACKEND={wanted}" if wanted else "KERAS_BACKEND not set, and Keras's own choice"
        remedy = " or ".join(f"export KERAS_BACKEND={name}" for name in found)
        raise ImportError(
            f"Keras computes on {error.name!r}, which is not installed. Received: {said}; installed: "
            f"{', '.join(found) or 'no backend'}. Use {remedy or INSTALL}, before Python starts."
        ) from error
