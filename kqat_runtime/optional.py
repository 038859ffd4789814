"""Loads packages that kqat can live without."""

from importlib import import_module
from types import ModuleType


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
