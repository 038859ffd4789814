"""Hostile inputs of every kind of file: how to make one, and how to load it."""

import json
import os
import pathlib
import time
import zlib
from collections import Counter
from typing import Any

import numpy as np

from benchmarks.endurance.mutations import damaged_archive, damaged_bytes, damaged_json
from kqat.core.errors import KqatError

SLOW = 5.0  # seconds of processor time that any input may take, and four times as many by the clock


def run(kind: str, seed: int, start: int, stop: int, folder: pathlib.Path, alive) -> Counter:
    """Loads the inputs `start` to `stop` of a kind and counts what became of them.

    Args:
        kind: Name in `KINDS`.
        seed: Of all inputs; each has a generator of its own.
        start: Number of the first input.
        stop: Number behind the last one.
        folder: For files.
        alive: Function that is told the number of each input before it is loaded.
    """
    make, load = KINDS[kind](folder)
    counts: Counter = Counter()
    for number in range(start, stop):
        alive(number)
        given = make(np.random.default_rng([seed, zlib.crc32(kind.encode()), number]))
        outcome, seconds = _outcome(load, given)
        if outcome in ("accepted", "refused"):
            counts[outcome] += 1
        else:
            counts["other exceptions"] += 1
            counts[f"{outcome} at input {number}"] += 1
        if seconds > SLOW:  # by the clock, which runs for other programs too
            alive(number)
            worked, seconds = _work(load, given)
            counts["slow"] += max(worked, seconds / 4) > SLOW
            counts[f"{worked:.1f} s of work in {seconds:.1f} s at input {number}"] += 1
    return counts


def _outcome(load, given) -> tuple[str, float]:
    """Returns what became of an input, or an undocumented exception's class, and the seconds that it took."""
    begin = time.perf_counter()
    try:
        load(given)
        outcome = "accepted"
    except KqatError:
        outcome = "refused"
    except Exception as error:
        outcome = type(error).__name__
    return outcome, time.perf_counter() - begin


def _work(load, given) -> tuple[float, float]:
    """Returns an input's processor time, here and in processes that end with it, and the seconds."""
    before = sum(os.times()[:4])
    seconds = _outcome(load, given)[1]
    return sum(os.times()[:4]) - before, seconds


def _net():
    import keras

    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu")(x)
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    return keras.Model(inputs, x)


def _quantized(boundary_bits=8):
    import kqat

    x = np.random.default_rng(0).normal(size=(16, 6, 6, 2)).astype("float32")
    return kqat.calibrate(kqat.quantize(_net(), bits=(2, 8), boundary_bits=boundary_bits), x, verbose=0)


def _tflite(folder: pathlib.Path, packed: bool = False) -> bytes:
    import kqat

    path = folder / f"seed_{packed}.tflite"
    if not path.exists():
        form = {"weights": "packed" if packed else "exact"}
        kqat.export_tflite(_quantized(2 if packed else 8), path, **form)
    return path.read_bytes()


def tflite_checks(folder):
    """Files as the caller's process looks at them, before any native code does: exact ones."""
    from kqat_runtime.packing.expand import expand_file
    from kqat_runtime.running.structure import check_structure

    content = _tflite(folder)
    return (lambda rng: damaged_bytes(content, rng)), (lambda data: check_structure(expand_file(data)))


def packed_tflite(folder):
    """Packed files with a right checksum over what was damaged."""
    from kqat_runtime.packing.expand import expand_file
    from kqat_runtime.packing.form import sealed, unsealed
    from kqat_runtime.running.structure import check_structure

    body = unsealed(_tflite(folder, packed=True))
    return (lambda rng: sealed(damaged_bytes(body, rng))), (lambda data: check_structure(expand_file(data)))


def tflite_runs(folder):
    """Files that are loaded and run in a process of their own; the caller must survive all of them."""
    import kqat

    content, x = _tflite(folder), np.ones((2, 6, 6, 2), np.float32)

    def load(data):
        with kqat.runtime.load(data, timeout=20.0) as runtime:
            if [port.shape for port in runtime.inputs] == [(None, 6, 6, 2)]:
                runtime(x)

    return (lambda rng: damaged_bytes(content, rng)), load


def kqat_files(folder):
    """Checkpoints with right checksums."""
    import kqat

    content, path = kqat.save_packed(_quantized(), folder / "seed.kqat").read_bytes(), folder / "x.kqat"
    return (lambda rng: damaged_archive(content, rng)), (lambda data: _load(kqat.load_packed, path, data))


def keras_files(folder):
    """Models of Keras with right checksums."""
    import kqat

    _quantized().save(folder / "seed.keras")
    content, path = (folder / "seed.keras").read_bytes(), folder / "x.keras"
    return (lambda rng: damaged_archive(content, rng)), (lambda data: _load(kqat.load_model, path, data))


def h5_files(folder):
    """Weights of tf_keras."""
    import h5py

    import kqat

    model, path = _net(), folder / "x.h5"
    with h5py.File(folder / "seed.h5", "w") as file:
        layers = [layer for layer in model.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{layer.name}/w{i}:0".encode() for i in range(len(layer.weights))]
            for i, weight in enumerate(layer.get_weights()):
                group[f"{layer.name}/w{i}:0"] = weight
    content = (folder / "seed.h5").read_bytes()
    load: Any = lambda path: kqat.load_h5_weights(model, path)  # noqa: E731
    return (lambda rng: damaged_bytes(content, rng)), (lambda data: _load(load, path, data))


def plans(folder):
    """JSON of plans, as `recipe=`."""
    import kqat

    model = _net()
    plan = json.loads(kqat.plan(model, bits=4).to_json())

    def load(value):
        kqat.quantize(model, recipe=json.dumps(value))

    return (lambda rng: damaged_json(plan, rng)), load


def _load(load, path: pathlib.Path, data: bytes):
    path.write_bytes(data)
    load(path)


KINDS = {
    "tflite": tflite_checks,
    "packed tflite": packed_tflite,
    "tflite, run": tflite_runs,
    "kqat": kqat_files,
    "keras": keras_files,
    "h5": h5_files,
    "plan": plans,
}
