"""Loading of optional packages."""

import sys

import pytest

from kqat_runtime.optional import require


def test_returns_the_module():
    import json.decoder

    assert require("json.decoder", extra="viz") is json.decoder


@pytest.mark.parametrize("module", ["kqat_no_such_package", "kqat_no_such_package.part"])
def test_missing_package_says_how_to_install_it(module):
    with pytest.raises(ImportError, match=r"'kqat_no_such_package'.*pip install 'kqat\[larq\]'"):
        require(module, extra="larq")


def test_error_inside_an_installed_package_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "kqat_broken.py").write_text("import kqat_missing_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="kqat_missing_dependency"):
        require("kqat_broken", extra="larq")
    assert "kqat_broken" not in sys.modules
