"""kqat needs nothing from the environment that a server may lack, and leaves nothing of it changed."""

import os
import pathlib
import subprocess
import sys
import threading
import warnings

import keras
import numpy as np
import pytest

import kqat
from tests.runtime.test_runtime import rounding_file

ROOT = pathlib.Path(__file__).parents[1]
RUN = """
import sys; sys.path.insert(0, {root!r})
import kqat_runtime, numpy as np
x = np.ones((2, 4), "float32")
with kqat_runtime.load({file!r}) as r: print(r(x).tolist() == x.reshape(2, 2, 2).tolist())
"""
NO_HOME = {"HOME": None}
NO_TEMPORARY = {"TMPDIR": "/nonexistent", "TMP": "/nonexistent", "TEMP": "/nonexistent"}
PLAIN_C = {"LC_ALL": "C", "PYTHONUTF8": "0"}

# All at once, since each process imports a framework. That there is no temporary folder is said to Python,
# which would look for another one. Keras makes NumPy 2 warn wherever it reads a tensor; the rest is an error.
WHOLE = """
import sys; sys.path.insert(0, {root!r})
import numpy as np; x = np.ones((2, 4), "float32")
import keras, kqat, tempfile, warnings
warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
tempfile.tempdir = "/proc"
layers = [keras.Input((4,)), keras.layers.Dense(5, activation="relu"), keras.layers.BatchNormalization()]
q = kqat.quantize(keras.Sequential([*layers, keras.layers.Dense(3)]), 4)
kqat.calibrate(q, x, verbose=0)
q.compile("sgd", "mse")
q.fit(x, x[:, :3], verbose=0)
kqat.export_c_array(kqat.export_tflite(q, "x.tflite", weights="packed"), "x.h")
def assert_equal(a, b):
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))


assert_equal(kqat.verify(q, "x.tflite", x).max_lsb, 0)
assert_equal(kqat.load_packed(kqat.save_packed(q, "x.kqat"))(x), q(x))
tempfile.tempdir = None  # Keras writes its files by way of a temporary folder
q.save("x.keras")
assert_equal(kqat.load_model("x.keras")(x), q(x))
print("whole", __debug__)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "round.tflite"
    path.write_bytes(rounding_file())
    return str(path)


def assert_runs(file, options=(), environment=None, before=""):
    """Runs the file in a Python with these options and variables; `None` removes one."""
    variables = {k: v for k, v in {**os.environ, **(environment or {})}.items() if v is not None}
    code = before + RUN.format(root=str(ROOT), file=file)
    done = subprocess.run(
        [sys.executable, *options, "-c", code], env=variables, capture_output=True, text=True
    )
    assert done.stdout.strip() == "True", done.stderr


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ((), {}),
        (("-OO",), {}),
        (("-I",), {}),
        (("-W", "error"), {}),
        (("-S",), {}),
        ((), NO_HOME),
        ((), NO_TEMPORARY),
        ((), PLAIN_C),
    ],
    ids=["plain", "-OO", "-I", "-W error", "no site", "no home", "no temporary folder", "C"],
)
def test_a_file_runs_in_isolation_whatever_the_environment(options, environment, file):
    """Without Keras, whose own needs are not kqat's."""
    # Without `site` the packages' folders come from the caller alone.
    before = f"import sys; sys.path += {[p for p in sys.path if p]!r}\n" if options == ("-S",) else ""
    assert_runs(file, options, environment, before)


@pytest.mark.skipif(not os.path.exists("/proc"), reason="needs a folder that nobody may write to")
def test_the_way_from_keras_to_the_file_needs_no_home_no_assertions_and_no_temporary_folder(tmp_path):
    variables = {name: value for name, value in os.environ.items() if name != "HOME"}
    # Keras 3.12, the newest for Python 3.10, cannot be imported without docstrings.
    options = ["-OO"] if tuple(map(int, keras.__version__.split(".")[:2])) >= (3, 15) else ["-O"]
    command = [sys.executable, "-I", *options, "-W", "error", "-c", WHOLE.format(root=str(ROOT))]
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip().endswith("whole False"), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"x.tflite", "x.h", "x.kqat", "x.keras"}


def state():
    """What a call could change for the whole process.

    Not in it is the state of `random`, from which Keras draws a seed for every layer that it makes.
    """
    return {
        "recursion limit": sys.getrecursionlimit(),
        "NumPy's random": np.random.get_state()[1].tolist(),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "warnings": list(warnings.filters),
        "path": list(sys.path),
        "imports": [type(finder).__name__ for finder in sys.meta_path],
        "hook": sys.excepthook,
        "floats": keras.config.floatx(),
        "policy": keras.config.dtype_policy().name,
        "NumPy's errors": np.geterr(),
        "weights": keras.layers.Layer.add_weight,
        "umask": umask(),
    }


def umask():
    value = os.umask(0)
    os.umask(value)
    return value


def test_the_state_of_the_process_is_what_it_was(tmp_path):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    layers = [keras.Input((4,)), keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model(x)
    before, threads = state(), threading.active_count()
    q = kqat.calibrate(kqat.quantize(model, 4), x, verbose=0)
    exported = kqat.export_tflite(q, tmp_path / "x.tflite")
    assert kqat.verify(q, exported.content, x).max_lsb == 0
    kqat.load_packed(kqat.save_packed(q, tmp_path / "x.kqat"))
    after = state()
    for name, value in before.items():
        assert after[name] == value, name
    assert threading.active_count() <= threads + 1
    handles = "/proc/self/fd"
    if os.path.exists(handles):
        count = len(os.listdir(handles))
        for _ in range(3):
            with kqat.runtime.load(exported.content) as runtime:
                runtime(x)
        assert len(os.listdir(handles)) == count
