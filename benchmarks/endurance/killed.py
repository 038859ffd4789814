"""Writers and trainings that are killed at random times.

Each is a fork of a process that has imported Keras and kqat and done nothing else: the import alone takes
longer than what is to be killed.
"""

import os
import pathlib
import random
import signal
import time
import traceback
from collections import Counter

import keras
import numpy as np

import kqat
from kqat import callbacks
from kqat_runtime.files.atomic import write_atomically

keras.activations.serialize(
    keras.activations.relu
)  # for which Keras imports TensorFlow: once, not in each fork
WRITERS = ("export_tflite", "save_packed", "export_c_array", "TFLiteCheckpoint")


def kills(count: int, seed: int, folder: pathlib.Path) -> Counter:
    """Kills writers at random times: the file must be whole, and the next write must clear the rest."""
    rng, counts = random.Random(seed), Counter()
    for number in range(count):
        place = folder / str(number)
        place.mkdir()
        path = place / "net.h"
        child = _started(_write, WRITERS[number % len(WRITERS)], path)
        time.sleep(rng.random() * 0.3)
        if not _killed(child):
            raise RuntimeError("A writer ended by itself.")
        counts["kills"] += 1
        counts["lost files"] += path.read_bytes() != (place / "whole").read_bytes()
        counts["strays before the next write"] += len(list(place.iterdir())) - 2
        write_atomically(path, b"next")
        counts["strays after it"] += len(list(place.iterdir())) - 2
    return counts


def _write(ready, writer: str, path: pathlib.Path) -> None:
    """Writes one file again and again; what it holds lies beside it before `ready` is called."""
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(256), keras.layers.Dense(64)])
    q = kqat.calibrate(kqat.quantize(model), np.ones((4, 64), "float32"), verbose=0)
    exported = kqat.export_tflite(q)

    def checkpoint():
        callback = callbacks.TFLiteCheckpoint(path, monitor="loss", save_best_only=False)
        callback.set_model(q)
        callback.on_epoch_end(0, {"loss": 1.0})

    write = {
        "export_tflite": lambda: kqat.export_tflite(q, path),
        "save_packed": lambda: kqat.save_packed(q, path),
        "export_c_array": lambda: kqat.export_c_array(exported, path),
        "TFLiteCheckpoint": checkpoint,
    }[writer]
    write()
    path.with_name("whole").write_bytes(path.read_bytes())
    ready()
    while True:
        write()


def resumes(count: int, seed: int, folder: pathlib.Path) -> Counter:
    """Kills trainings at random times and starts them again, until they end: as if nothing had happened?"""
    rng, counts, number = random.Random(seed), Counter(), 0
    want = _train_on(folder / "undisturbed", folder / "undisturbed.npz", None) or []
    while counts["kills"] + counts["lost files"] < count:
        number += 1
        try:
            result = None
            while result is None:
                wait = rng.random() * 2 if counts["kills"] < count else None
                result = _train_on(folder / str(number), folder / f"{number}.npz", wait)
                counts["kills"] += result is None
        except RuntimeError:
            counts["lost files"] += 1
            continue
        same = len(result) == len(want) and all(
            np.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in zip(result, want, strict=True)
        )
        counts["wrong answers"] += not same
        counts["trainings"] += 1
    return counts


def _train_on(backup: pathlib.Path, result: pathlib.Path, wait: float | None) -> list | None:
    """Returns the weights that a training ends with; `None` if it was killed, after `wait` seconds."""
    child = _started(_train, backup, result)
    if wait is not None:
        time.sleep(wait)
        if _killed(child):
            return None
    elif os.waitpid(child, 0)[1]:
        raise RuntimeError("A training did not go on.")
    with np.load(result) as file:
        return [file[name] for name in file.files]


def _train(ready, backup: pathlib.Path, result: pathlib.Path) -> None:
    """Trains with every callback that changes a model, from the last backup, and writes the weights."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(32)(inputs))
    model = kqat.quantize(keras.Model(inputs, keras.layers.Dense(4)(keras.layers.ReLU()(x))), (2, 4))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    x = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
    used = [
        callbacks.BackupAndRestore(backup, delete_checkpoint=False),
        keras.callbacks.LambdaCallback(on_train_begin=lambda logs: ready()),
        callbacks.BitSchedule({0: 8, 10: 4, 20: 2}, select="*kernel*"),
        callbacks.QuantizationSchedule(start=2, freeze_ranges=15, freeze_batchnorm=25),
    ]
    model.fit(x, x[:, :4], epochs=30, batch_size=16, shuffle=False, verbose=0, callbacks=used)
    np.savez(result, *[keras.ops.convert_to_numpy(value) for value in model.variables])


def _started(act, *given) -> int:
    """Runs a function in a fork and returns its process, once the function says that it is ready."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            act(lambda: os.write(write, b"."), *given)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    return child


def _killed(child: int) -> bool:
    """Kills a process; `False` if it had come to a good end before."""
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise RuntimeError("It had ended with an error before.")
    return False
