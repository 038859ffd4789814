"""Reads the data that commands are given: arrays, or a folder of pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kqat_runtime.optional import require

_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".webp")
_LABELS = ("y", "labels", "label", "targets")


@dataclass(frozen=True)
class Pictures:
    """How pixels become inputs: `pixel * rescale + offset`."""

    rescale: float = 1.0
    offset: float = 0.0


def load(path: Path, model: Any, samples: int, pictures: Pictures) -> tuple[Any, np.ndarray | None]:
    """Returns inputs for a model, and labels where the data has some.

    Args:
        path: `.npy`; `.npz` with an array for each input, under its name or in order, and labels under `y`
            or `labels`; or a folder of pictures, whose sub-folders, where there are some, are the classes.
        model: The model, whose inputs say how large pictures are.
        samples: How many to take at most.
        pictures: What to make of pixels.
    """
    if path.is_dir():
        return _pictures(path, model, samples, pictures)
    if path.suffix == ".npy":
        return np.load(path, mmap_mode="r")[:samples], None
    if path.suffix == ".npz":
        return _arrays(path, model, samples)
    raise ValueError(f"Data of an unknown kind. Received: {path}. Use .npz, .npy, or a folder of pictures.")


def _arrays(path: Path, model, samples: int):
    with np.load(path) as stored:
        arrays = {name: stored[name][:samples] for name in stored.files}
    labels = next((arrays.pop(name) for name in _LABELS if name in arrays), None)
    names = [tensor.name for tensor in model.inputs]
    if len(arrays) != len(names):
        raise ValueError(
            f"The data has {len(arrays)} arrays for {len(names)} inputs. Received: {sorted(arrays)}. "
            f"Use an array for each of {names}, and labels under 'y'."
        )
    if len(names) == 1:
        return next(iter(arrays.values())), labels
    known = all(name in arrays for name in names)
    return [arrays[name] for name in names] if known else list(arrays.values()), labels


def _pictures(folder: Path, model, samples: int, pictures: Pictures):
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or None in model.inputs[0].shape[1:]:
        raise ValueError(
            "Pictures fit a model with one input of a known size, (height, width, channels). Received: "
            f"{[tuple(tensor.shape) for tensor in model.inputs]}. Use an .npz file, or --input-shape."
        )
    height, width, channels = model.inputs[0].shape[1:]
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    files = [(path, folder) for path in sorted(folder.iterdir())]
    for name in classes:
        files += [(path, folder / name) for path in sorted((folder / name).iterdir())]
    files = [(path, parent) for path, parent in files if path.suffix.lower() in _PICTURES]
    if not files:
        raise FileNotFoundError(f"No pictures. Received: {folder}. Use a folder of .png or .jpg files.")
    # Evenly from all classes, and the same ones each time.
    places = np.linspace(0, len(files) - 1, min(samples, len(files))).astype(int)
    chosen = [files[place] for place in places]
    x = np.stack([_pixels(path, (width, height), channels) for path, _ in chosen])
    x = x * np.float32(pictures.rescale) + np.float32(pictures.offset)
    labels = [classes.index(parent.name) for _, parent in chosen if parent != folder]
    return x, np.array(labels) if len(labels) == len(chosen) else None


def _pixels(path: Path, size: tuple[int, int], channels: int) -> np.ndarray:
    if channels not in (1, 3):
        raise ValueError(
            f"Pictures have 1 or 3 channels. Received: {channels} in the model. Use an .npz file."
        )
    image = require("PIL.Image", extra="cli").open(path).convert("L" if channels == 1 else "RGB")
    return np.asarray(image.resize(size), np.float32).reshape(size[1], size[0], channels)
