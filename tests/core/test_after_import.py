"""Work after somebody else's import."""

import importlib
import importlib.util
import sys

import pytest

from kqat.core.after_import import after_import


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of an importable package that counts how often it is executed."""
    name = "kqat_test_package"
    (tmp_path / f"{name}.py").write_text("import sys\nVALUE = 7\nLOADER = __loader__\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield name
    sys.modules.pop(name, None)


def test_runs_at_once_when_imported_before(package):
    importlib.import_module(package)
    calls = []
    after_import(package, lambda: calls.append(1))
    assert calls == [1]


def test_runs_once_after_the_import(package):
    calls = []
    after_import(package, lambda: calls.append(sys.modules[package].VALUE))
    assert package not in sys.modules
    assert calls == []
    importlib.import_module(package)
    assert calls == [7]
    importlib.reload(sys.modules[package])
    assert calls == [7]


def test_leaves_no_trace(package):
    before = list(sys.meta_path)
    after_import(package, lambda: None)
    module = importlib.import_module(package)
    assert sys.meta_path == before
    assert type(module.__loader__).__module__ == type(module.LOADER).__module__ != after_import.__module__
    assert module.__spec__.loader is module.__loader__


def test_looking_for_the_package_does_not_use_it_up(package):
    calls = []
    after_import(package, lambda: calls.append(1))
    assert importlib.util.find_spec(package) is not None
    assert calls == []
    importlib.import_module(package)
    assert calls == [1]


def test_other_packages_are_not_concerned(package):
    calls = []
    after_import("kqat_no_such_package", lambda: calls.append(1))
    importlib.import_module(package)
    assert calls == []
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("kqat_no_such_package")


def test_failed_import_is_tried_again(package, tmp_path):
    (tmp_path / f"{package}.py").write_text("raise RuntimeError('half way')\n")
    calls = []
    after_import(package, lambda: calls.append(1))
    with pytest.raises(RuntimeError, match="half way"):
        importlib.import_module(package)
    assert calls == []
    (tmp_path / f"{package}.py").write_text("VALUE = 1  # whole\n")
    importlib.invalidate_caches()
    importlib.import_module(package)
    assert calls == [1]
