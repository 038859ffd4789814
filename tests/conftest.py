"""Settings shared by all tests: quiet TensorFlow, repeatable random numbers."""

import gc
import os
import pathlib

# Both are read when TensorFlow loads. oneDNN's kernels sum in an order that varies with the machine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# Compiling takes three quarters of the time on JAX: what one process has compiled, the others need not.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis
import keras
import pytest

# A first call on a backend compiles, which takes longer than any sensible deadline for an example.
hypothesis.settings.register_profile("kqat", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("kqat")


def pytest_report_header():
    """Returns the seed of the random graphs, which repeats the run."""
    return f"KQAT_SEED={os.environ.get('KQAT_SEED', 0)}"


@pytest.fixture(scope="module", autouse=True)
def _freeze():
    """Takes what is alive out of garbage collection: imports, and the graphs of every compiled training.

    TensorFlow keeps those for ever, and a collection looks through all of them.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed():
    """Makes every test start from the same random state and an empty Keras session."""
    # Collecting garbage takes longer than most tests.
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
