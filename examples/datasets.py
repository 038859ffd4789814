"""The image sets of the examples and benchmarks, from local files where they are."""

import gzip
import math
import os
import pathlib
import struct
import zlib

import numpy as np

NAMES = ("digits", "fashion-mnist", "mnist", "cifar10")
_IDX_UINT8 = 0x08
_IDX_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}
_DIGITS_TEST_SHARE = 0.2


def load(name="digits"):
    """Returns `(x_train, y_train), (x_test, y_test)`.

    Files are looked for in the folder that the environment variable `KQAT_DATA` names (IDX files
    under `fashion-mnist/` or `mnist/`, or `cifar10.npz`), then where Debian's packages put them.
    What is not found comes from `keras.datasets`, which downloads it. The digits need no file.

    Args:
        name: `"digits"`, `"fashion-mnist"`, `"mnist"` or `"cifar10"`.

    Returns:
        Images float32 `(N, height, width, channels)` in [0, 1], labels int64 `(N,)`.

    Raises:
        ValueError: The name is unknown, or a local file is damaged.
    """
    if name not in NAMES:
        raise ValueError(f"Unknown data set. Received: {name!r}. Use one of {', '.join(NAMES)}.")
    if name == "digits":
        return _digits()
    arrays = _local(name)
    return _prepare(*(arrays or _downloaded(name)))


def read_idx(path):
    """Reads one gzip-compressed IDX file of bytes, the format of MNIST.

    Args:
        path: File to read.

    Returns:
        uint8 array of the shape that the file states.

    Raises:
        ValueError: The file is not gzip, not IDX, not of bytes, or its size is not what it states.
    """
    try:
        data = gzip.decompress(pathlib.Path(path).read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file: {error}.") from error
    if len(data) < 4 or data[0] or data[1]:
        raise ValueError(
            f"{path} is not an IDX file. Received: it begins with {data[:4].hex() or 'nothing'}."
        )
    kind, rank = data[2], data[3]
    if kind != _IDX_UINT8:
        raise ValueError(f"{path} must hold bytes (IDX type 0x08). Received: type {kind:#04x}.")
    header = 4 + 4 * rank
    if len(data) < header:
        raise ValueError(f"{path} ends within its header of {header} bytes. Received: {len(data)} bytes.")
    shape = struct.unpack(f">{rank}I", data[4:header])
    if len(data) - header != math.prod(shape):
        raise ValueError(f"{path} states the shape {shape}. Received: {len(data) - header} bytes of data.")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _digits():
    """Returns the 8x8 digits of scikit-learn: 80 % of every class for training, in a fixed shuffle."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = (digits.images[..., None] / 16.0).astype(np.float32)
    y = digits.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(y))
    rank = np.empty(len(y), np.int64)
    for label in np.unique(y):
        members = order[y[order] == label]
        rank[members] = np.arange(len(members)) < round(len(members) * _DIGITS_TEST_SHARE)
    test = rank.astype(bool)
    train_order, test_order = order[~test[order]], order[test[order]]
    return (x[train_order], y[train_order]), (x[test_order], y[test_order])


def _local(name):
    """Returns the four arrays from local files, or `None` where there are none."""
    own = os.environ.get("KQAT_DATA")
    if name == "cifar10":
        path = pathlib.Path(own or ".") / "cifar10.npz"
        return _read_npz(path) if own and path.is_file() else None
    folders = [pathlib.Path(own) / name] if own else []
    for folder in [*folders, pathlib.Path("/usr/share/datasets") / name]:
        if folder.is_dir():
            return [read_idx(folder / file) for file in _IDX_FILES.values()]
    return None


def _read_npz(path):
    """Returns the four arrays of an `.npz` file."""
    with np.load(path) as data:
        missing = sorted(set(_IDX_FILES) - set(data))
        if missing:
            raise ValueError(f"{path} lacks the arrays {missing}. Received: {sorted(data)}.")
        return [data[key] for key in _IDX_FILES]


def _downloaded(name):
    """Returns the four arrays from Keras's own loader."""
    import keras

    loader = getattr(keras.datasets, name.replace("-", "_"))
    (x_train, y_train), (x_test, y_test) = loader.load_data()
    return x_train, y_train, x_test, y_test


def _prepare(x_train, y_train, x_test, y_test):
    """Checks that images and labels belong together, and scales the images to [0, 1]."""
    for part, images, labels in (("training", x_train, y_train), ("test", x_test, y_test)):
        if len(images) != np.size(labels):
            raise ValueError(f"The {part} set has {len(images)} images. Received: {np.size(labels)} labels.")
    return (_images(x_train), _labels(y_train)), (_images(x_test), _labels(y_test))


def _images(x):
    """Returns float32 images in [0, 1] with a channel axis."""
    x = np.asarray(x, np.float32) / np.float32(255)
    return x if x.ndim == 4 else x[..., None]


def _labels(y):
    return np.asarray(y, np.int64).reshape(-1)
