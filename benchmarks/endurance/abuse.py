"""Threads, killed writers and leaks."""

import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np

THREADS = 8
KILLED = """
import pathlib, sys, keras, numpy as np, kqat
writer, path = sys.argv[1], pathlib.Path(sys.argv[2])
model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(256), keras.layers.Dense(64)])
q = kqat.calibrate(kqat.quantize(model), np.ones((4, 64), "float32"), verbose=0)
exported = kqat.export_tflite(q)
def checkpoint():
    callback = kqat.callbacks.TFLiteCheckpoint(path, monitor="loss", save_best_only=False)
    callback.set_model(q)
    callback.on_epoch_end(0, {"loss": 1.0})
write = {
    "export_tflite": lambda: kqat.export_tflite(q, path),
    "save_packed": lambda: kqat.save_packed(q, path),
    "export_c_array": lambda: kqat.export_c_array(exported, path),
    "TFLiteCheckpoint": checkpoint,
}[writer]
write()
whole = path.read_bytes()
path.with_name("whole").write_bytes(whole)
print("ready", flush=True)
while True:
    write()
"""

RESUMED = """
import sys, keras, numpy as np, kqat
from kqat import callbacks
keras.utils.set_random_seed(0)
inputs = keras.Input((16,))
x = keras.layers.BatchNormalization()(keras.layers.Dense(32)(inputs))
model = kqat.quantize(keras.Model(inputs, keras.layers.Dense(4)(keras.layers.ReLU()(x))), (2, 4))
model.compile(keras.optimizers.Adam(0.01), "mse")
x = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
said = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: print("ready", flush=True))
model.fit(x, x[:, :4], epochs=30, batch_size=16, shuffle=False, verbose=0, callbacks=[
    callbacks.BackupAndRestore(sys.argv[1], delete_checkpoint=False), said,
    callbacks.BitSchedule({0: 8, 10: 4, 20: 2}, select="*kernel*"),
    callbacks.QuantizationSchedule(start=2, freeze_ranges=15, freeze_batchnorm=25),
])
np.savez(sys.argv[2], *[keras.ops.convert_to_numpy(v) for v in model.variables])
"""


def resumes(count: int, folder: pathlib.Path) -> Counter:
    """Kills trainings at random times and starts them again, until they end: as if nothing had happened?"""
    import random

    rng, counts, number = random.Random(0), Counter(), 0
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
    child = subprocess.Popen(
        [sys.executable, "-c", RESUMED, str(backup), str(result)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    if wait is not None:
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
    error = child.communicate()[1]
    if child.returncode == -signal.SIGKILL:
        return None
    if child.returncode:
        raise RuntimeError(f"A training did not go on: {error.decode()[-2000:]}")
    with np.load(result) as file:
        return [file[name] for name in file.files]


def kills(count: int, folder: pathlib.Path) -> Counter:
    """Kills writers at random times: the file must be whole, and the next write must clear the rest."""
    import random

    from kqat_runtime.files.atomic import write_atomically

    rng, counts = random.Random(0), Counter()
    for number in range(count):
        writer = ("export_tflite", "save_packed", "export_c_array", "TFLiteCheckpoint")[number % 4]
        place = folder / str(number)
        place.mkdir()
        path = place / "net.h"
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, writer, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        child.stdout.readline()
        time.sleep(rng.random() * 0.3)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        counts["kills"] += 1
        counts["lost files"] += path.read_bytes() != (place / "whole").read_bytes()
        counts["strays before the next write"] += len(list(place.iterdir())) - 2
        write_atomically(path, b"next")
        counts["strays after it"] += len(list(place.iterdir())) - 2
    return counts


def _file() -> bytes:
    import keras

    import kqat

    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(24), keras.layers.Dense(4)])
    x = np.random.default_rng(0).normal(size=(16, 16)).astype("float32")
    return kqat.export_tflite(kqat.calibrate(kqat.quantize(model), x, verbose=0)).content


def threads(count: int, folder: pathlib.Path) -> Counter:
    """Shares runtimes between threads: every answer must belong to its question."""
    import kqat

    content, x = _file(), np.random.default_rng(1).normal(size=(5, 16)).astype("float32")
    counts, lock = Counter(), threading.Lock()
    for isolated in (True, False):
        with kqat.runtime.load(content, isolated=isolated) as runtime:
            asked = [x[: 1 + k % 5] * (k + 1) for k in range(THREADS)]
            want = [runtime(one) for one in asked]

            def body(k, runtime=runtime, asked=asked, want=want):
                wrong = errors = 0
                for _ in range(count // 2 // THREADS):
                    try:
                        wrong += not np.array_equal(runtime(asked[k]), want[k])
                    except Exception:
                        errors += 1
                with lock:
                    counts["wrong answers"] += wrong
                    counts["other exceptions"] += errors
                    counts["calls"] += count // 2 // THREADS

            workers = [threading.Thread(target=body, args=(k,)) for k in range(THREADS)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    return counts


def _memory() -> int:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _leak(what: str, act, count: int) -> Counter:
    """Repeats something and counts the memory and the handles that it keeps, after a tenth to warm up."""
    for _ in range(max(count // 10, 3)):
        act()
    before, handles = _memory(), len(os.listdir("/proc/self/fd"))
    for _ in range(count):
        act()
    grown = (_memory() - before) / 2**20
    return Counter(
        {what: count, "MiB more": round(grown, 1), "handles more": len(os.listdir("/proc/self/fd")) - handles}
    )


def exports(count: int, folder: pathlib.Path) -> Counter:
    """Exports one model again and again."""
    import keras

    import kqat

    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(24), keras.layers.Dense(4)])
    q = kqat.calibrate(kqat.quantize(model), np.ones((4, 16), "float32"), verbose=0)
    return _leak("exports", lambda: kqat.export_tflite(q, folder / "x.tflite"), count)


def loads(count: int, folder: pathlib.Path) -> Counter:
    """Loads one file again and again, in turn here and in a process of its own."""
    import kqat

    content, ways = _file(), [True, False]

    def act():
        ways.reverse()
        kqat.runtime.load(content, isolated=ways[0])(np.ones((2, 16), np.float32))

    return _leak("loads", act, count)


def quantizes(count: int, folder: pathlib.Path) -> Counter:
    """Makes quantized models again and again."""
    import keras

    import kqat

    def act():
        keras.utils.clear_session(free_memory=False)
        model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(24), keras.layers.Dense(4)])
        kqat.calibrate(kqat.quantize(model), np.ones((4, 16), "float32"), verbose=0)

    return _leak("quantized models", act, count)


STAGES = {
    "threads": threads,
    "kills": kills,
    "resumes": resumes,
    "exports": exports,
    "loads": loads,
    "quantizes": quantizes,
}
