"""Loading of packages that kqat can live without, and of those that one of must be there."""

import os
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

BACKENDS = ("tensorflow", "jax", "torch")
INSTALL = "pip install 'kqat[tensorflow]', 'kqat[jax]' or 'kqat[torch]'"


def require(module: str, extra: str) -> ModuleType:
    """Returns an optional package, or says how to install it.

    Args:
        module: Import name, for example `"larq"`; a submodule (`"matplotlib.pyplot"`) is fine.
        extra: The extra of kqat's distribution that installs it.

    Returns:
        The imported module.

    Raises:
        ImportError: The package is not installed. An import error raised *inside* an installed
            package is passed on unchanged, because installing it again would not help.

    Example:
        >>> require("json", extra="viz").dumps([1, 2])
        '[1, 2]'
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module != missing and not module.startswith(f"{missing}."):
            raise
        raise ImportError(
            f"This needs the package {missing!r}, which is not installed. "
            f"Install it with: pip install 'kqat[{extra}]'."
        ) from error


def import_with_backend(module: str) -> ModuleType:
    """Returns a module of kqat; with it Keras is loaded, which needs its backend.

    Args:
        module: Import name.

    Raises:
        ImportError: The backend that Keras wants is not installed; the message says which ones are.
    """
    try:
        return import_module(module)
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
