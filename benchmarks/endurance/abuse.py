"""Shared runtimes, and what is done so often that a leak shows."""

import contextlib
import ctypes
import gc
import os
import pathlib
import threading
from collections import Counter

import numpy as np

THREADS = 8


def _file() -> bytes:
    import keras

    import kqat

    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(24), keras.layers.Dense(4)])
    x = np.random.default_rng(0).normal(size=(16, 16)).astype("float32")
    return kqat.export_tflite(kqat.calibrate(kqat.quantize(model), x, verbose=0)).content


def threads(count: int, seed: int, folder: pathlib.Path) -> Counter:
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
    """Returns the bytes that are in use: what was freed goes back first, which the C library else keeps."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _repeat(act, count: int) -> None:
    """Collects garbage on the way: Python lets it grow to a quarter of all that lives, hundreds of models."""
    for number in range(count):
        act()
        if number % 50 == 0:
            gc.collect()


def _leak(what: str, act, count: int) -> Counter:
    """Repeats something and counts the memory and the handles that it keeps, after a tenth to warm up."""
    _repeat(act, max(count // 10, 3))
    before, handles = _memory(), len(os.listdir("/proc/self/fd"))
    _repeat(act, count)
    grown = (_memory() - before) / 2**20
    return Counter(
        {what: count, "MiB more": round(grown, 1), "handles more": len(os.listdir("/proc/self/fd")) - handles}
    )


def exports(count: int, seed: int, folder: pathlib.Path) -> Counter:
    """Exports one model again and again."""
    import keras

    import kqat

    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(24), keras.layers.Dense(4)])
    q = kqat.calibrate(kqat.quantize(model), np.ones((4, 16), "float32"), verbose=0)
    return _leak("exports", lambda: kqat.export_tflite(q, folder / "x.tflite"), count)


def loads(count: int, seed: int, folder: pathlib.Path) -> Counter:
    """Loads one file again and again, in turn here and in a process of its own."""
    import kqat

    content, ways = _file(), [True, False]

    def act():
        ways.reverse()
        kqat.runtime.load(content, isolated=ways[0])(np.ones((2, 16), np.float32))

    return _leak("loads", act, count)


def quantizes(count: int, seed: int, folder: pathlib.Path) -> Counter:
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
    "exports": exports,
    "loads": loads,
    "quantizes": quantizes,
}
