"""Reads the models that commands are given."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import kqat


def load(path: Path, code: list[str] | None = None) -> Any:
    """Returns the model of a file, quantized or not.

    Args:
        path: `.keras`, or `.h5` for a float model.
        code: Python files or modules to run first, which register custom classes.
    """
    for name in code or ():
        _run(name)
    if not path.is_file():
        raise FileNotFoundError(f"There is no such file. Received: {path}. Use the path of a .keras file.")
    if path.suffix in (".h5", ".hdf5"):
        import keras

        return keras.saving.load_model(path, compile=False)
    return kqat.load_model(path, compile=False)


def _run(name: str) -> None:
    if not name.endswith(".py"):
        sys.path.insert(0, str(Path.cwd()))
        importlib.import_module(name)
        return
    path = Path(name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"There is no such file. Received: {name}. Use a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
