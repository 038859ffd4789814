"""Imports every lowering, so that a new family is one new file in this folder."""

import importlib
import pkgutil

import kqat.lowering

for _module in pkgutil.walk_packages(kqat.lowering.__path__, "kqat.lowering."):
    importlib.import_module(_module.name)
