"""Which outputs differ on 64-bit ARM? Files run in Python here and in C++ under an emulator.

Needs `make cpp-aarch64` and its program: `cmake --build build/aarch64 --target kqat_label_image`.
"""

import argparse
import gzip
import pathlib
import struct
import subprocess
import tempfile

import keras
import numpy as np

import kqat
from benchmarks.results import markdown

SHAPE, IMAGES = (12, 12, 1), 64
BITS = {"float": None, "W8A8": 8, "W8A16": (8, 16)}


def main(argv=None):
    """Exports every file, runs it on both sides and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/aarch64"))
    build = parser.parse_args(argv).build
    keras.utils.set_random_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, *SHAPE), np.uint8)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for head in ("linear", "softmax"):
            model = net(head)
            for title, bits in BITS.items():
                python, arm = both(model, bits, pixels, pathlib.Path(folder), build)
                differ, most = np.sum(python != arm), np.abs(python - arm).max()
                rows.append(
                    [f"{title}, {head}", int(differ), python.size, f"{most:.1e}", f"{python.max():.2f}"]
                )
    header = [
        "file, last activation",
        "outputs that differ",
        "outputs",
        "largest difference",
        "largest output",
    ]
    print(markdown(header, rows))


def net(head):
    """Returns a small net whose last activation is `head`."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(10, activation=head),
        ]
    )


def both(model, bits, pixels, folder, build):
    """Returns the outputs of Python on this machine and those of C++ on the emulated one."""
    x = pixels.astype(np.float32) / np.float32(255)
    quantized = model if bits is None else kqat.calibrate(kqat.quantize(model, bits=bits), x, verbose=0)
    path, images, outputs = folder / "model.tflite", folder / "images.gz", folder / "outputs"
    path.write_bytes(kqat.export_tflite(quantized).content)
    images.write_bytes(gzip.compress(struct.pack(">4I", 0x803, *pixels.shape[:3]) + pixels.tobytes()))
    emulator = ["qemu-aarch64", "-cpu", "cortex-a72", "-L", str(build / "sysroot")]
    program = [str(build / "kqat_label_image"), "--trust", "--model", str(path), "--batch", str(images)]
    command = [*emulator, *program, "--batch-size", "1", "--outputs", str(outputs)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (python,) = kqat.runtime.load(path).run([x], batch_size=1)
    return python, np.fromfile(outputs, np.float32).reshape(python.shape)


if __name__ == "__main__":
    main()
