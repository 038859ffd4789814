"""Registrations of Keras's own layers and operations, one family a file: all are loaded with the folder."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
