"""The trained networks: where each comes from, what it takes, and how it is trained on."""

from dataclasses import dataclass

import keras
import numpy as np

from examples import datasets, mynet

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Net:
    """A trained network and its data.

    Args:
        name: Name in the table.
        file: Name of its `.keras` file.
        data: Data set.
        logits: Whether it puts out logits, not probabilities.
        augment: Whether training shifts and mirrors the images.
    """

    name: str
    file: str
    data: str
    logits: bool
    augment: bool

    def load(self, folder):
        """Returns the float model."""
        return keras.saving.load_model(folder / self.file, custom_objects={"MyNet": mynet.MyNet})

    def prepare(self, images):
        """Returns images in [0, 1] as the network takes them."""
        if self.name == "ResNet-20":
            return (images - IMAGENET_MEAN) / IMAGENET_STD
        return images * np.float32(255) if self.name == "ResNet-8" else images

    def datasets(self):
        """Returns `(x_train, y_train), (x_test, y_test)` as the network takes them."""
        (x, y), (x_test, y_test) = datasets.load(self.data)
        return (self.prepare(x), y), (self.prepare(x_test), y_test)


NETS = {
    "mynet": Net("MyNet", "mynet_fashion_mnist.keras", "fashion-mnist", logits=False, augment=False),
    "resnet8": Net("ResNet-8", "resnet8_cifar10.keras", "cifar10", logits=False, augment=True),
    "resnet20": Net("ResNet-20", "resnet20_cifar10.keras", "cifar10", logits=True, augment=True),
}


class Shifted(keras.utils.PyDataset):
    """Batches of images, each mirrored with probability 1/2 and shifted by up to 4 pixels.

    Args:
        x: Images `(N, height, width, channels)`.
        y: Labels `(N,)`.
        batch: Images a step.
        seed: Of the order and of the changes; every epoch has its own.
        epoch: Number of epochs that are done already.
    """

    def __init__(self, x, y, batch, seed, epoch=0):
        super().__init__()
        self.x, self.y, self.batch, self.seed, self.epoch = x, y, batch, seed, epoch
        self.on_epoch_end()

    def __len__(self):
        return len(self.x) // self.batch

    def __getitem__(self, index):
        rows = self.order[index * self.batch : (index + 1) * self.batch]
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return np.stack([_changed(self.x[row], rng) for row in rows]), self.y[rows]

    def on_epoch_end(self):
        """Shuffles for the next epoch."""
        self.epoch += 1
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.x))


def _changed(image, rng):
    if rng.random() < 0.5:
        image = image[:, ::-1]
    top, left = rng.integers(0, 9, 2)
    height, width, _ = image.shape
    return np.pad(image, ((4, 4), (4, 4), (0, 0)))[top : top + height, left : left + width]
