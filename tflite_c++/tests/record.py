"""Writes small models, inputs and what Python's runtime makes of them, for the C++ tests to compare with.

For each case there are in the folder `NAME.tflite` and for each way to run it `NAME.batch`: the line
`BATCH SAMPLES INPUTS OUTPUTS`, then the raw stored values in `NAME.batchB.inI` and `NAME.batchB.outO`.
`pictures.idx` has the inputs as pictures, `labels.idx` the classes that `w8a8` sees in them. For the programs
there are a picture that is cut off (`cut.ppm`), a gzip file of 2 GiB of zeros (`bomb.gz`), and labels that
would color a terminal (`labels.txt`).
"""

import argparse
import pathlib
import struct
import zlib

import keras
import numpy as np

import kqat

SAMPLES = 6
SHAPE = (12, 12, 1)
# Name, bits and how to export; None is the float model.
CASES = {
    "float": (None, {}),
    "w8a8": (8, {}),
    "w8a8_int8": (8, {"io": "int8"}),
    "w8a8_uint8": (8, {"io": "uint8"}),
    "w4a4": (4, {}),
    "w4a4_packed": (4, {"weights": "packed"}),
    "w4a4_packed_int8": (4, {"weights": "packed", "io": "int8"}),
    "w2a2_packed": (2, {"weights": "packed"}),
    "w1a8_packed": ((1, 8), {"weights": "packed"}),
    "w8a16": ((8, 16), {}),
}


def main(argv=None):
    """Writes every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args(argv).folder
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (64, *SHAPE), np.uint8)
    x = pixels.astype(np.float32) / np.float32(255)
    net = convolutional()
    for name, (bits, options) in CASES.items():
        record(folder, name, export(net, bits, [x], options), [x[:SAMPLES]])
    pair = [x, np.random.default_rng(1).normal(size=(64, 5)).astype(np.float32)]
    content = export(two_inputs(), 8, pair, {})
    record(folder, "two_inputs", content, [part[:SAMPLES] for part in pair])
    record(folder, "sorted", export(sorted_scores(), 8, [x], {}), [x[:SAMPLES]])
    record(folder, "signs_packed", kqat.export_tflite(signs(), weights="packed").content, [x[:SAMPLES]])
    write_idx(folder / "pictures.idx", pixels[:SAMPLES, ..., 0])
    best = np.argmax(kqat.runtime.load(folder / "w8a8.tflite")(x[:SAMPLES], batch_size=1), axis=-1)
    write_idx(folder / "labels.idx", best.astype(np.uint8))
    (folder / "cut.ppm").write_bytes(b"P6\n12 12\n255\n" + bytes(100))
    write_bomb(folder / "bomb.gz")
    (folder / "labels.txt").write_bytes(b"".join(b"\x1b[31mclass %d\x07\n" % label for label in range(10)))
    (folder / "cases.txt").write_text("\n".join([*CASES, "two_inputs", "sorted", "signs_packed"]) + "\n")


def convolutional():
    """Returns a net with every kind of weight: standard, depthwise and dense, signed and after ReLU."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.BatchNormalization(),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(12),
            layers.Dense(10, activation="softmax"),
        ]
    )


def two_inputs():
    """Returns a net whose two inputs and two outputs have different shapes."""
    image, extra = keras.Input(SHAPE, name="image"), keras.Input((5,), name="extra")
    features = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, strides=3, activation="relu")(image))
    both = keras.layers.Concatenate()([keras.layers.Dense(5)(features), extra])
    return keras.Model([image, extra], [keras.layers.Dense(7)(both), keras.layers.Dense(3)(extra)])


def sorted_scores():
    """Returns a net that ends in a kernel whose output has a size in the run only."""
    image = keras.Input(SHAPE)
    scores = keras.layers.Dense(10)(keras.layers.Flatten()(image))
    return keras.Model(image, keras.ops.top_k(scores, 10)[0])


def signs():
    """Returns a net of float kernels that have one magnitude in all, or one a channel."""
    one = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}
    each = {**one, "kernel_quantizer": "magnitude_aware_sign"}
    layers = [
        keras.Input(SHAPE),
        kqat.layers.QuantConv2D(8, 3, kernel_quantizer="ste_sign", use_bias=False),
        keras.layers.BatchNormalization(),
        kqat.layers.QuantConv2D(12, 3, strides=2, **each),
        keras.layers.BatchNormalization(),
        kqat.layers.QuantDepthwiseConv2D(3, **one),
        keras.layers.Flatten(),
        kqat.layers.QuantDense(10, **each),
    ]
    return keras.Sequential(layers)


def export(model, bits, x, options):
    """Returns the file of a model at a width, calibrated on `x`."""
    if bits is None:
        return kqat.export_tflite(model, **options).content
    q = kqat.quantize(model, bits=bits)
    kqat.calibrate(q, x if len(x) > 1 else x[0], verbose=0)
    return kqat.export_tflite(q, **options).content


def record(folder, name, content, inputs):
    """Writes a file, and inputs and outputs at batch 1 and at a batch that does not divide the samples."""
    (folder / f"{name}.tflite").write_bytes(content)
    runtime = kqat.runtime.load(content)
    stored = [port.encode(x) for port, x in zip(runtime.inputs, inputs, strict=True)]
    lines = []
    for batch in (1, 4):
        outputs = runtime.run(stored, batch_size=batch, real=False)
        lines.append(f"{batch} {SAMPLES} {len(stored)} {len(outputs)}")
        for side, arrays in (("in", stored), ("out", outputs)):
            for i, array in enumerate(arrays):
                (folder / f"{name}.batch{batch}.{side}{i}").write_bytes(array.tobytes())
    (folder / f"{name}.batch").write_text("\n".join(lines) + "\n")


def write_idx(path, array):
    """Writes bytes in the format of MNIST."""
    path.write_bytes(
        bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


def write_bomb(path):
    """Writes a block of zeros again and again: after a full flush it refers to nothing before it."""
    packer, zeros = zlib.compressobj(1, zlib.DEFLATED, 31), bytes(2**24)
    first, block = (packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    path.write_bytes(first + 128 * block)


if __name__ == "__main__":
    main()
