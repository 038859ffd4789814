"""Imports every lowering, so that a new family is one new file in this folder."""

import importlib
import pkgutil

import kqat.lowering

for _module in pkgutil.iter_modules(kqat.lowering.__path__):
    importlib.import_module(f"kqat.lowering.{_module.name}")
