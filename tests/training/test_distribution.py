"""Several devices: the ranges and losses are those of one device with the whole batch."""

import keras
import pytest

from tests.training import golden, launch

BACKEND = keras.backend.backend()
tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="a strategy of TensorFlow")


@tensorflow_only
@pytest.mark.parametrize("case", ["w8a8", "w4a4 pact", "w4a4 callbacks"])
def test_two_mirrored_replicas_train_as_one_device(case):
    golden.check(launch.train(strategy="mirrored", **golden.CASES[case]), case)


@tensorflow_only
def test_two_worker_processes_train_as_one_device():
    processes = launch.start_workers(**golden.CASES["w4a4"])
    first, second = (launch.finish(process) for process in processes)
    assert first == second
    golden.check(first, "w4a4")


@pytest.mark.skipif(BACKEND != "jax", reason="Keras distributes data on JAX")
def test_data_parallel_training_sees_the_whole_batch():
    result = launch.train("jax", strategy="data_parallel", **golden.CASES["w4a4"])
    assert result["devices"] == 2
    golden.check(result, "w4a4")
