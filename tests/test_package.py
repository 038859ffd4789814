"""The facade and the promises that hold for the package as a whole."""

import ast
import os
import pathlib
import subprocess
import sys

import keras
import pytest

import kqat
import kqat_runtime

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "kqat").rglob("*.py"), *(ROOT / "kqat_runtime").rglob("*.py")])


def run(code):
    """Runs `code` in a fresh interpreter and returns what it printed."""
    # Tests of tf_keras in this process may have set its flag.
    environment = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_changes_nothing_and_loads_keras_alone():
    state = "(dict(os.environ), list(sys.meta_path), list(sys.path), sys.getrecursionlimit())"
    others = "[m for m in ('tf_keras', 'tensorflow_model_optimization', 'larq') if m in sys.modules]"
    code = f"import os, sys, keras; before = {state}; import kqat; print(before == {state}, {others})"
    assert run(code) == "True []"


@pytest.mark.parametrize("module", ["kqat_runtime", "kqat_runtime.running.isolated"])
def test_files_run_without_keras(module):
    frameworks = ("keras", "kqat", "tensorflow", "jax", "torch", "h5py")
    loaded = f"[m for m in {frameworks} if m in sys.modules]"
    assert run(f"import sys, {module}, kqat_runtime; kqat_runtime.load; print({loaded})") == "[]"
    assert kqat.runtime.__all__ == kqat_runtime.__all__
    assert all(getattr(kqat.runtime, name) is getattr(kqat_runtime, name) for name in kqat_runtime.__all__)


@pytest.mark.parametrize("name", sorted({*kqat.__all__} - {"context"}))
def test_public_name_resolves_and_says_whether_threads_may_share_it(name):
    assert "Threads:" in getattr(kqat, name).__doc__


def test_public_names_of_the_runtime_are_listed():
    assert {*kqat_runtime.__all__} <= {*dir(kqat_runtime)}
    with pytest.raises(AttributeError, match=r"no attribute 'laod'. Public names: .*load"):
        _ = kqat_runtime.laod


@pytest.mark.parametrize("imports", ["import kqat, keras", "import keras, kqat"])
def test_plain_keras_loads_a_quantized_model(tmp_path, imports):
    inputs = keras.Input((4,))
    path = tmp_path / "model.keras"
    keras.Model(inputs, kqat.layers.FakeQuant(-1.0, 1.0, bits=4)(inputs)).save(path)
    loaded = run(f"{imports}; print(keras.saving.load_model({str(path)!r}).layers[1].quantizer.bits)")
    assert loaded == "4"


def test_files_and_functions_stay_small():
    long = []
    for path in SOURCES:
        text, name = path.read_text(), path.relative_to(ROOT)
        long += [f"{name} has {count} lines"] if (count := len(text.splitlines())) > 400 else []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                count = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                long += [f"{name}: {node.name} has {count} lines"] if count > 40 else []
    assert not long
