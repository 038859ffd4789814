"""MyNet on Fashion-MNIST, trained briefly at several widths: the files that the benchmark measures."""

import keras

import kqat
from examples import datasets, mynet
from examples.training import train

DATA = "fashion-mnist"
CALIBRATION = 1024
# File name, title and how it is exported; the models are trained once per width.
FILES = {
    "float": (None, "float", {}),
    "w8a8": (8, "W8A8", {}),
    "w8a16": ((8, 16), "W8A16", {}),
    "w4a4": (4, "W4A4", {}),
    "w4a4_packed": (4, "W4A4 packed", {"weights": "packed"}),
    "w2a2_packed": (2, "W2A2 packed", {"weights": "packed"}),
}


def make(folder, epochs, qat_epochs, limit):
    """Writes the files that are not in the folder yet.

    Args:
        folder: Where they go.
        epochs: Of the float model.
        qat_epochs: Of each quantized model, from the float one on.
        limit: How many training images to use; what is measured here needs no good model.
    """
    missing = [name for name in FILES if not (folder / f"{name}.tflite").exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (x, y), _ = datasets.load(DATA)
    x, y = x[:limit], y[:limit]
    model = float_model(folder / "float.keras", x, y, epochs)
    trained = {}
    for name in missing:
        bits, title, options = FILES[name]
        if bits is None:
            kqat.export_tflite(model, folder / f"{name}.tflite")
            continue
        if bits not in trained:
            trained[bits] = quantized(model, bits, title, x, y, qat_epochs)
        kqat.export_tflite(trained[bits], folder / f"{name}.tflite", **options)


def float_model(path, x, y, epochs):
    """Returns the trained float model, from its file where there is one."""
    if path.exists():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(0)
    model = train(mynet.build(x.shape[1:]), x, y, epochs, "float")
    model.save(path)
    return model


def quantized(model, bits, title, x, y, epochs):
    """Returns the model quantized, calibrated and trained on."""
    q = kqat.quantize(model, bits=bits)
    kqat.calibrate(q, x[:CALIBRATION], verbose=0)
    return train(q, x, y, epochs, title, rate=3e-4)
