"""The same training on every backend, and no TensorFlow where it is not the backend."""

import keras
import pytest

from tests.training import golden, launch

BACKEND = keras.backend.backend()
# Any import of TensorFlow then fails, as where it is not installed. (Where it is, Keras itself imports it
# whenever it serializes a layer.)
WITHOUT_TENSORFLOW = "import sys; sys.modules['tensorflow'] = None"


@pytest.mark.parametrize("case", ["w8a8", "w4a4"])
def test_losses_and_ranges_are_the_same_on_every_backend(case):
    golden.check(launch.train(BACKEND, **golden.CASES[case]), case)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="about the other backends")
def test_a_model_is_trained_exported_and_verified_where_tensorflow_cannot_be_imported():
    process = launch.start(BACKEND, prelude=WITHOUT_TENSORFLOW, export=1, **golden.CASES["w4a4"])
    result = launch.finish(process)
    assert result["exact"]
    golden.check(result, "w4a4")
