"""Networks on Fashion-MNIST at several widths: the files that the benchmark measures."""

from dataclasses import dataclass, field
from typing import Any

import keras

import kqat
from examples import datasets, mybnnnet_keras, mynet
from examples.training import train

DATA = "fashion-mnist"
CALIBRATION = 256  # images


@dataclass(frozen=True)
class File:
    """A file that is measured.

    Args:
        title: What the table calls it.
        bits: For `quantize`; `None` leaves the network as it is.
        network: Module of the network.
        trains: Whether the quantized network is trained; else it is calibrated.
        export: Writes the model to a path.
        options: For the export.
        lce: Whether Python runs the file with Larq Compute Engine, because LiteRT there cannot.
    """

    title: str
    bits: Any = None
    network: Any = mynet
    trains: bool = False
    export: Any = kqat.export_tflite
    options: dict = field(default_factory=dict)
    lce: bool = False


def export_logits(model, path):
    """Writes a binary network without its softmax, whose float kernels in LCE and in LiteRT round apart."""
    return kqat.export_lce(keras.Model(model.inputs, model.layers[-2].output), path)


PACKED = {"weights": "packed"}
FILES = {
    "float": File("float"),
    "w8a8": File("W8A8", 8),
    "w8a16": File("W8A16", (8, 16)),
    "w4a4": File("W4A4", 4),
    "w4a4_packed": File("W4A4 packed", 4, options=PACKED),
    "w2a2_packed": File("W2A2 packed", 2, options=PACKED),
    "w1a1_packed": File("W1A1 packed", 1, trains=True, options=PACKED),
    "binary": File("binary (LCE)", network=mybnnnet_keras, export=export_logits, lce=True),
}


def make(folder, names, epochs, images):
    """Writes the files that are not in the folder yet: float models trained, the others mostly calibrated.

    Args:
        folder: Where they go.
        names: Which of `FILES`.
        epochs: Of a training.
        images: How many training images an epoch has; what is measured here needs no good model.
    """
    missing = [name for name in names if not (folder / f"{name}.tflite").exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (x, y), _ = datasets.load(DATA)
    few = x[:images], y[:images]
    for name in missing:
        file = FILES[name]
        model = trained(file.network, folder, *few, epochs)
        file.export(quantized(model, file, *few, epochs), folder / f"{name}.tflite", **file.options)


def trained(network, folder, x, y, epochs):
    """Returns the trained network of a module, from its file where there is one."""
    path = folder / f"{network.__name__.rpartition('.')[2]}.keras"
    if path.exists():
        return kqat.load_model(path)
    keras.utils.set_random_seed(0)
    model = train(network.build(x.shape[1:]), x, y, epochs, path.stem)
    model.save(path)
    return model


def quantized(model, file, x, y, epochs):
    """Returns the model quantized, and calibrated or trained; itself where no bits are asked for."""
    if file.bits is None:
        return model
    q = kqat.quantize(model, bits=file.bits)
    return (
        train(q, x, y, epochs, file.title)
        if file.trains
        else kqat.calibrate(q, x[:CALIBRATION], effort=[], verbose=0)
    )
