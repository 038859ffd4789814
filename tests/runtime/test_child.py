"""Processes of kqat's own: what they import, and when they end."""

import gc
import os
import pathlib
import subprocess
import sys
import textwrap
import time

import pytest

from kqat_runtime.processes.child import Child, ChildError

ROOT = pathlib.Path(__file__).parents[2]
LITERT = ("numpy", "ai_edge_litert", "flatbuffers")
linux = pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="looks at processes in /proc")


def ended(pid, seconds=5.0):
    """Whether a process ends; one that nobody waited for has ended too."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("name", ["numpy", "json", "struct", "copy", "ai_edge_litert", "kqat"])
def test_nothing_in_the_working_folder_or_on_pythonpath_is_imported(name, tmp_path, monkeypatch):
    """The process is made by a script elsewhere, as a user would start it in a folder of downloads."""
    downloads, app = tmp_path / "downloads", tmp_path / "app"
    downloads.mkdir()
    app.mkdir()
    (downloads / f"{name}.py").write_text("open('ran', 'w').close()\nraise SystemExit\n")
    (app / "main.py").write_text(
        textwrap.dedent(f"""
        import os, sys
        from kqat_runtime.processes.child import Child, ChildError
        os.environ["PYTHONPATH"] = {str(downloads)!r}
        os.environ["PYTHONSTARTUP"] = {str(downloads / f"{name}.py")!r}
        child = Child("kqat_runtime.running.isolated", "serve", {LITERT})
        print(child.ask({{"threads": 1, "memory": None}}, [__import__("numpy").zeros(3, "uint8")], 60)[0])
        """)
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, app / "main.py"], cwd=downloads, env=environment, capture_output=True, text=True
    )
    assert "not a .tflite file" in done.stdout, done.stderr
    assert not (downloads / "ran").exists()


@linux
def test_the_process_ends_with_the_object():
    child = Child("signal", "pause", ())
    pid = child._process.pid
    del child
    gc.collect()
    assert ended(pid, 0.1)


@linux
@pytest.mark.parametrize("way", ["sys.exit()", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_the_process_ends_with_its_owner_even_while_it_hangs(way):
    """It hangs in native code that holds Python's lock, where no thread of its own can run."""
    code = f"""
        import os, sys, time
        from kqat_runtime.processes.child import Child
        child = Child("tests.runtime.hang", "hang", ("tests",))
        print(child._process.pid, child._process.stdout.read(1), flush=True)
        {way}
    """
    owner = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True
    )
    pid, sign = owner.stdout.split()
    assert sign == "b'x'"
    assert ended(int(pid))


def test_a_request_after_the_end_says_what_happened():
    child = Child("os", "abort", ())
    with pytest.raises(ChildError, match="ended"):
        child.ask({}, [], 10)
    with pytest.raises(ChildError, match="has ended before"):
        child.ask({}, [], 10)


def test_a_fork_is_refused():
    child = Child("signal", "pause", ())
    child._owner += 1
    with pytest.raises(ChildError, match="belongs to another process"):
        child.ask({}, [], 10)
    child.close()


def test_it_starts_where_no_temporary_file_can_be_made(monkeypatch):
    def read_only(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", read_only)
    with pytest.raises(ChildError, match="ended"):
        Child("os", "abort", ()).ask({}, [], 10)
