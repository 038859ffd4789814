"""`kqat doctor`: versions, and whether this machine computes what kqat promises."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from kqat.cli import options
from kqat.cli.terminal import say

_PACKAGES = ("kqat", "keras", "numpy", "ai-edge-litert", "tensorflow", "jax", "torch", "tf_keras", "larq")
_WIDTHS = (8, 4, 2)


def doctor(as_json: options.Json = False) -> None:
    """Show versions, and quantize, export and compare a small model at 8, 4 and 2 bits."""
    import keras

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.system()}",
        "backend": keras.backend.backend(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "exact": {f"W{bits}A{bits}": _is_exact(bits) for bits in _WIDTHS},
    }
    packages = [f"  {name:15} {number or 'not installed'}" for name, number in found["packages"].items()]
    checks = [f"  {width:15} {'exact' if ok else 'DIFFERS'}" for width, ok in found["exact"].items()]
    head = f"Python {found['python']} on {found['machine']}, Keras on {found['backend']}"
    say("\n".join([head, *packages, *checks]), as_json, found)
    if not all(found["exact"].values()):
        raise typer.Exit(1)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_exact(bits: int) -> bool:
    import keras
    import numpy as np

    import kqat

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).normal(size=(32, 12, 12, 3)).astype(np.float32)
    q = kqat.calibrate(kqat.quantize(model, bits=bits), x, verbose=0)
    return kqat.verify(q, kqat.export_tflite(q), x, layers=True).exact
