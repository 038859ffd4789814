"""A training that was killed goes on from its backup as if nothing had happened."""

import keras
import pytest

from tests.training import golden, launch

BACKEND = keras.backend.backend()


@pytest.mark.repeats  # two processes; on JAX test_backup.py ends one within an epoch
def test_a_killed_training_goes_on_where_its_backup_is(tmp_path):
    options = {"backup": tmp_path / "backup", **golden.CASES["w4a4"]}
    launch.finish(launch.start(BACKEND, stop=6, **options), killed=True)  # within the second epoch
    golden.check(launch.train(BACKEND, **options), "w4a4", epochs=2)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_a_killed_worker_takes_nothing_along(tmp_path):
    each = {index: {"backup": tmp_path / str(index)} for index in (0, 1)}
    killed = {**each, 1: {**each[1], "stop": 6}}
    survivor, victim = launch.start_workers(each=killed, **golden.CASES["w4a4"])
    launch.finish(victim, killed=True)
    survivor.kill()  # it would wait for the other one
    survivor.communicate()
    resumed = [launch.finish(one) for one in launch.start_workers(each=each, **golden.CASES["w4a4"])]
    assert resumed[0] == resumed[1]
    golden.check(resumed[0], "w4a4", epochs=2)
