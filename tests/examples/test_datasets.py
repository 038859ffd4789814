"""Reading of the image sets, on files made here."""

import gzip
import struct

import numpy as np
import pytest

from examples import datasets

FILES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def idx(array, kind=0x08):
    """Returns the IDX bytes of an array of bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()


def write(path, data):
    path.write_bytes(gzip.compress(data))
    return path


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """A folder with an IDX data set of 6 and 4 images, found through KQAT_DATA."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(1)
    shapes = ((6, 5, 4), (6,), (4, 5, 4), (4,))
    arrays = [rng.integers(0, 256 if len(s) > 1 else 10, s, np.uint8) for s in shapes]
    for name, array in zip(FILES, arrays, strict=True):
        write(folder / f"{name}-ubyte.gz", idx(array))
    monkeypatch.setenv("KQAT_DATA", str(tmp_path))
    return folder, arrays


def test_idx_files_are_read_exactly(mnist):
    _, (images, labels, test_images, test_labels) = mnist
    (x_train, y_train), (x_test, y_test) = datasets.load("mnist")
    assert x_train.dtype == np.float32
    assert x_train.shape == (6, 5, 4, 1)
    np.testing.assert_array_equal(np.rint(x_train[..., 0] * 255), images)
    np.testing.assert_array_equal(np.rint(x_test[..., 0] * 255), test_images)
    np.testing.assert_array_equal(y_train, labels)
    np.testing.assert_array_equal(y_test, test_labels)
    assert x_train.min() >= 0
    assert x_train.max() <= 1


def test_images_without_their_labels_are_refused(mnist):
    folder, (_, labels, _, _) = mnist
    write(folder / f"{FILES[1]}-ubyte.gz", idx(labels[:-1]))
    with pytest.raises(ValueError, match="training set has 6 images. Received: 5 labels"):
        datasets.load("mnist")


def test_missing_file_of_a_set_is_named(mnist):
    folder, _ = mnist
    (folder / f"{FILES[2]}-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=FILES[2]):
        datasets.load("mnist")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with nothing"),
        (b"\x01\x02\x03\x04", "not an IDX file. Received: it begins with 01020304"),
        (idx(np.zeros(3, np.uint8), kind=0x0D), "must hold bytes .*Received: type 0x0d"),
        (struct.pack(">BBBB", 0, 0, 8, 3), "ends within its header of 16 bytes. Received: 4 bytes"),
        (idx(np.zeros((2, 3), np.uint8))[:-1], r"states the shape \(2, 3\). Received: 5 bytes"),
        (idx(np.zeros((2, 3), np.uint8)) + b"\0", r"states the shape \(2, 3\). Received: 7 bytes"),
    ],
)
def test_damaged_idx_is_refused(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        datasets.read_idx(write(tmp_path / "file.gz", data))


def test_idx_shape_that_overflows_is_refused(tmp_path):
    header = struct.pack(">BBBB4I", 0, 0, 8, 4, *[2**32 - 1] * 4)
    with pytest.raises(ValueError, match="Received: 0 bytes of data"):
        datasets.read_idx(write(tmp_path / "file.gz", header))


@pytest.mark.parametrize("keep", [0, 5, -4])
def test_truncated_or_foreign_gzip_is_refused(tmp_path, keep):
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(idx(np.zeros(9, np.uint8)))[:keep] or b"plain text")
    with pytest.raises(ValueError, match="not a whole gzip file"):
        datasets.read_idx(path)


def test_cifar10_reads_the_npz(tmp_path, monkeypatch):
    monkeypatch.setenv("KQAT_DATA", str(tmp_path))
    images, labels = np.full((3, 32, 32, 3), 255, np.uint8), np.array([[7], [8], [9]], np.uint8)
    np.savez(tmp_path / "cifar10.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    (x, y), _ = datasets.load("cifar10")
    assert x.shape == (3, 32, 32, 3)
    assert x.min() == x.max() == 1
    assert y.tolist() == [7, 8, 9]


def test_npz_that_lacks_arrays_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("KQAT_DATA", str(tmp_path))
    np.savez(tmp_path / "cifar10.npz", x_train=np.zeros(1))
    with pytest.raises(ValueError, match=r"lacks the arrays \['x_test', 'y_test', 'y_train'\]"):
        datasets.load("cifar10")


def test_digits_split_is_fixed_and_stratified():
    (x_train, y_train), (x_test, y_test) = datasets.load("digits")
    assert (x_train.shape, x_test.shape) == ((1438, 8, 8, 1), (359, 8, 8, 1))
    assert (x_train.min(), x_train.max()) == (0, 1)
    share = np.bincount(y_test) / np.bincount(np.concatenate([y_train, y_test]))
    # Classes have 174 to 183 images: rounding to a whole image moves the share by at most 1/348.
    np.testing.assert_allclose(share, 0.2, atol=1 / 348)
    again = datasets.load("digits")[1]
    np.testing.assert_array_equal(again[0], x_test)
    rows = {image.tobytes() for image in x_test}
    assert not rows & {image.tobytes() for image in x_train}


def test_unknown_name_offers_the_known_ones():
    with pytest.raises(ValueError, match="Received: 'svhn'. Use one of digits, fashion-mnist"):
        datasets.load("svhn")
