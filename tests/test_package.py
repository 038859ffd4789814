"""The facade and the promises that hold for the package as a whole."""

import ast
import pathlib
import subprocess
import sys

import keras
import pytest

import kqat

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "kqat").rglob("*.py"))


def run(code):
    """Runs `code` in a fresh interpreter and returns what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_loads_no_framework():
    frameworks = ("keras", "tensorflow", "jax", "torch", "tf_keras", "matplotlib", "ai_edge_litert")
    loaded = run(f"import sys, kqat; dir(kqat); print([m for m in {frameworks} if m in sys.modules])")
    assert loaded == "[]"


def test_numpy_core_loads_no_framework():
    loaded = run(
        "import sys, kqat.core.grid; print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    assert loaded == "[]"


@pytest.mark.parametrize("name", sorted({*kqat.__all__} - {"context"}))
def test_public_name_resolves_and_says_whether_threads_may_share_it(name):
    assert "Threads:" in getattr(kqat, name).__doc__


def test_public_names_are_listed():
    assert set(kqat.__all__) <= set(dir(kqat))


def test_unknown_name_offers_the_known_ones():
    with pytest.raises(AttributeError, match=r"no attribute 'quantise'.*quantize"):
        _ = kqat.quantise


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
