"""ResNet-20 for CIFAR-10, built from whichever Keras is passed in."""


def resnet20(keras, classes=10):
    """Returns ResNet-20 (0.27 million parameters) with 1x1 projections where the shape changes.

    Only layers that every library of the comparison quantizes.

    Args:
        keras: The module `keras` or `tf_keras`.
        classes: Number of classes.
    """
    layers = keras.layers
    image = keras.Input((32, 32, 3))
    x = _unit(layers, image, 16)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        for block in range(3):
            x = _block(layers, x, filters, stride if block == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(classes)(x))


def _block(layers, x, filters, stride):
    y = _unit(layers, x, filters, stride)
    y = _unit(layers, y, filters, relu=False)
    if stride != 1:
        x = layers.Conv2D(filters, 1, stride, use_bias=False)(x)
        x = layers.BatchNormalization()(x)
    return layers.ReLU()(layers.Add()([x, y]))


def _unit(layers, x, filters, stride=1, relu=True):
    x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU()(x) if relu else x
