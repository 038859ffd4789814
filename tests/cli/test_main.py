"""The entry point, in a process of its own and without the packages of its extra."""

import subprocess
import sys

import pytest

import kqat.cli


def test_the_module_is_the_command():
    run = subprocess.run([sys.executable, "-m", "kqat", "--help"], capture_output=True, text=True, check=True)
    assert "Usage: kqat" in run.stdout
    assert all(name in run.stdout for name in ("plan", "quantize", "export", "verify", "inspect", "doctor"))


def test_a_missing_extra_is_one_line(monkeypatch, capsys):
    def missing(module, extra):
        raise ImportError(f"Install it with: pip install 'kqat[{extra}]'.")

    monkeypatch.setattr(kqat.cli, "require", missing)
    with pytest.raises(SystemExit) as status:
        kqat.cli.main()
    assert status.value.code == 2
    assert capsys.readouterr().err == "kqat: Install it with: pip install 'kqat[cli]'.\n"
