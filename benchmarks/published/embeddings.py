"""Networks that compare images: twins, triplets, similarity search, contrastive learning."""

import keras
from keras import layers, ops

from benchmarks.published.data import images


def _tower(side, size=16):
    inputs = keras.Input((side, side, 3))
    x = layers.BatchNormalization()(inputs)
    x = layers.Conv2D(8, (5, 5), activation="tanh")(x)
    x = layers.AveragePooling2D(pool_size=(2, 2))(x)
    x = layers.Conv2D(16, (5, 5), activation="tanh")(x)
    x = layers.AveragePooling2D(pool_size=(2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.BatchNormalization()(x)
    return keras.Model(inputs, layers.Dense(size, activation="tanh")(x), name="embedding")


def euclidean_distance(vects):
    x, y = vects
    sum_square = ops.sum(ops.square(x - y), axis=1, keepdims=True)
    return ops.sqrt(ops.maximum(sum_square, keras.backend.epsilon()))


def siamese_contrastive():
    tower = _tower(24)
    left, right = keras.Input((24, 24, 3)), keras.Input((24, 24, 3))
    merged = layers.Lambda(euclidean_distance, output_shape=(1,))([tower(left), tower(right)])
    outputs = layers.Dense(1, activation="sigmoid")(layers.BatchNormalization()(merged))
    return keras.Model(inputs=[left, right], outputs=outputs), [images(24) / 255, images(24)[::-1] / 255]


class DistanceLayer(layers.Layer):
    """Squared distances of an anchor to a positive and to a negative sample."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, anchor, positive, negative):
        near = ops.sum(ops.square(anchor - positive), -1)
        far = ops.sum(ops.square(anchor - negative), -1)
        return (near, far)


def siamese_triplet():
    tower = _tower(24)
    names = ("anchor", "positive", "negative")
    inputs = [keras.Input((24, 24, 3), name=name) for name in names]
    distances = DistanceLayer()(*(tower(x) for x in inputs))
    data = [images(24) / 255, images(24)[::-1] / 255, 1 - images(24) / 255]
    return keras.Model(inputs=inputs, outputs=distances), data


def metric_learning():
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for size in (8, 16, 16):
        x = layers.Conv2D(size, 3, strides=2, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    embeddings = layers.Dense(units=8, activation=None)(x)
    return keras.Model(inputs, layers.UnitNormalization()(embeddings)), images(32) / 255


def contrastive_pretraining():
    """Chen et al., "SimCLR", 2020: augmentation, encoder, projection head."""
    augmenter = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.RandomFlip("horizontal"),
            layers.RandomTranslation(0.2, 0.2),
            layers.RandomZoom((-0.5, 0.0), (-0.5, 0.0)),
        ]
    )
    encoder = keras.Sequential(
        [keras.Input((32, 32, 3))]
        + [layers.Conv2D(16, kernel_size=3, strides=2, activation="relu") for _ in range(4)]
        + [layers.Flatten(), layers.Dense(16, activation="relu")],
        name="encoder",
    )
    head = keras.Sequential([keras.Input((16,)), layers.Dense(16, activation="relu"), layers.Dense(16)])
    inputs = keras.Input((32, 32, 3))
    return keras.Model(inputs, head(encoder(augmenter(inputs)))), images(32)


class Residual(layers.Layer):
    def __init__(self, filters, strides):
        super().__init__()
        self.norms = [layers.BatchNormalization(), layers.BatchNormalization()]
        self.convs = [
            layers.Conv2D(filters, 3, strides, padding="same", use_bias=False),
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
        ]
        self.shortcut = layers.Conv2D(filters, 1, strides, use_bias=False)
        self.act = layers.LeakyReLU(0.1)

    def call(self, x, training=None):
        y = self.act(self.norms[0](x, training=training))
        short = self.shortcut(y)
        y = self.convs[0](y)
        y = self.convs[1](self.act(self.norms[1](y, training=training)))
        return short + y


class WideResNet(keras.Model):
    """Zagoruyko and Komodakis, "Wide Residual Networks", 2016, as AdaMatch trains it."""

    def __init__(self, num_classes):
        super().__init__()
        self.rescale = layers.Rescaling(scale=1 / 255.0)
        self.stem = layers.Conv2D(8, 3, padding="same", use_bias=False)
        self.blocks = [Residual(16, 1), Residual(24, 2)]
        self.pool, self.head = layers.GlobalAveragePooling2D(), layers.Dense(num_classes)

    def call(self, inputs, training=None):
        x = self.stem(self.rescale(inputs))
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(self.pool(x))


def wide_resnet():
    model = WideResNet(10)
    model(images(16))
    return model, images(16)


class LearnableResizer(layers.Layer):
    """Talebi and Milanfar, "Learning to Resize Images for Computer Vision Tasks", 2021."""

    def __init__(self, size=16, filters=8):
        super().__init__()
        self.size = (size, size)
        self.start = [layers.Conv2D(filters, 7, padding="same"), layers.Conv2D(filters, 1, padding="same")]
        self.inner = [layers.Conv2D(filters, 3, padding="same", use_bias=False) for _ in range(2)]
        self.norms = [layers.BatchNormalization() for _ in range(3)]
        self.bottleneck = layers.Conv2D(filters, 1, padding="same")
        self.last = layers.Conv2D(3, 7, padding="same")

    def call(self, inputs):
        plain = ops.image.resize(inputs, self.size, interpolation="bilinear")
        x = ops.leaky_relu(self.start[0](inputs), 0.2)
        x = self.norms[0](ops.leaky_relu(self.start[1](x), 0.2))
        narrow = ops.image.resize(x, self.size, interpolation="bilinear")
        x = ops.leaky_relu(self.norms[1](self.inner[0](narrow)), 0.2)
        x = self.norms[2](self.inner[1](x)) + narrow
        return self.last(x) + plain


def learnable_resizer():
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = LearnableResizer()(x)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(16, 3, strides=2, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x)), images(32)


MODELS = {
    "Siamese, contrastive": siamese_contrastive,
    "Siamese, triplets": siamese_triplet,
    "Metric learning": metric_learning,
    "SimCLR encoder": contrastive_pretraining,
    "WideResNet (AdaMatch)": wide_resnet,
    "Learnable resizer": learnable_resizer,
}
