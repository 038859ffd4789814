"""MyNet, the reference convolutional network of the examples, as a subclassed model."""

import keras
from keras import layers


@keras.saving.register_keras_serializable("kqat_examples")
class MyNet(keras.Model):
    """Three convolutions and two dense layers, each followed by BatchNormalization; no ReLU.

    The weighted layers have no bias and the normalizations no scale: every unit has one offset,
    and its activations are signed.

    Args:
        classes: Number of classes.
        filters: Channels of the three convolutions.
        units: Width of the hidden dense layer.
    """

    def __init__(self, classes=10, filters=(32, 64, 64), units=64, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.filters = tuple(filters)
        self.units = units
        self.conv1 = _conv(self.filters[0], "conv1")
        self.bn1 = layers.BatchNormalization(scale=False, name="bn1")
        self.pool1 = layers.MaxPooling2D(2, name="pool1")
        self.conv2 = _conv(self.filters[1], "conv2")
        self.bn2 = layers.BatchNormalization(scale=False, name="bn2")
        self.pool2 = layers.MaxPooling2D(2, name="pool2")
        self.conv3 = _conv(self.filters[2], "conv3")
        self.bn3 = layers.BatchNormalization(scale=False, name="bn3")
        self.flatten = layers.Flatten(name="flatten")
        self.dense = layers.Dense(units, use_bias=False, name="dense")
        self.bn4 = layers.BatchNormalization(scale=False, name="bn4")
        self.head = layers.Dense(classes, use_bias=False, name="head")
        self.bn5 = layers.BatchNormalization(scale=False, name="bn5")
        self.softmax = layers.Softmax(name="softmax")

    def call(self, x, training=None):
        """Returns class probabilities `(N, classes)` of images `(N, height, width, channels)`."""
        x = self.pool1(self.bn1(self.conv1(x), training=training))
        x = self.pool2(self.bn2(self.conv2(x), training=training))
        x = self.bn3(self.conv3(x), training=training)
        x = self.bn4(self.dense(self.flatten(x)), training=training)
        x = self.bn5(self.head(x), training=training)
        return self.softmax(x)

    def get_config(self):
        config = super().get_config()
        return {**config, "classes": self.classes, "filters": self.filters, "units": self.units}


def build(image_shape, classes=10):
    """Returns a built MyNet.

    Args:
        image_shape: `(height, width, channels)`; at least 4 by 4, for the two poolings.
        classes: Number of classes.
    """
    model = MyNet(classes, name="mynet")
    model(keras.Input(image_shape))
    return model


def _conv(filters, name):
    # "same" padding lets the network also take images as small as the 8x8 digits.
    return layers.Conv2D(filters, 3, padding="same", use_bias=False, name=name)
