"""MyNet on Fashion-MNIST at several widths: the files that the benchmark measures."""

import keras

import kqat
from examples import datasets, mynet
from examples.training import train

DATA = "fashion-mnist"
CALIBRATION = 256  # images
# File name, bits, title and how it is exported.
FILES = {
    "float": (None, "float", {}),
    "w8a8": (8, "W8A8", {}),
    "w8a16": ((8, 16), "W8A16", {}),
    "w4a4": (4, "W4A4", {}),
    "w4a4_packed": (4, "W4A4 packed", {"weights": "packed"}),
    "w2a2_packed": (2, "W2A2 packed", {"weights": "packed"}),
}


def make(folder, names, epochs, images):
    """Writes the files that are not in the folder yet: the float model trained, the others calibrated.

    Args:
        folder: Where they go.
        names: Which of `FILES`.
        epochs: Of the float model.
        images: How many training images an epoch has; what is measured here needs no good model.
    """
    missing = [name for name in names if not (folder / f"{name}.tflite").exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (x, y), _ = datasets.load(DATA)
    model = float_model(folder / "float.keras", x[:images], y[:images], epochs)
    for name in missing:
        bits, _, options = FILES[name]
        kqat.export_tflite(quantized(model, bits, x), folder / f"{name}.tflite", **options)


def float_model(path, x, y, epochs):
    """Returns the trained float model, from its file where there is one."""
    if path.exists():
        return keras.saving.load_model(path)
    keras.utils.set_random_seed(0)
    model = train(mynet.build(x.shape[1:]), x, y, epochs, "float")
    model.save(path)
    return model


def quantized(model, bits, x):
    """Returns the model quantized and calibrated; itself where no bits are asked for."""
    if bits is None:
        return model
    return kqat.calibrate(kqat.quantize(model, bits=bits), x[:CALIBRATION], verbose=0)
