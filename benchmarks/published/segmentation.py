"""Networks that say something about every pixel, or about places in an image."""

import keras
from keras import layers, ops

from benchmarks.published.data import images


def unet_xception():
    """Ronneberger et al., "U-Net", 2015, with separable convolutions and residual connections."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    previous = x
    for filters in (16, 24):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.SeparableConv2D(filters, 3, padding="same")(x))
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, layers.Conv2D(filters, 1, strides=2, padding="same")(previous)])
        previous = x
    for filters in (24, 16, 8):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.BatchNormalization()(layers.Conv2DTranspose(filters, 3, padding="same")(x))
        x = layers.UpSampling2D(2)(x)
        residual = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(previous))
        x = layers.add([x, residual])
        previous = x
    return keras.Model(inputs, layers.Conv2D(3, 3, activation="softmax", padding="same")(x)), images(32) / 255


def _conv(x, filters=16, kernel_size=3, dilation_rate=1):
    x = layers.Conv2D(
        filters, kernel_size, dilation_rate=dilation_rate, padding="same", use_bias=False,
        kernel_initializer=keras.initializers.HeNormal(),
    )(x)  # fmt: skip
    return ops.nn.relu(layers.BatchNormalization()(x))


def _spatial_pyramid(x):
    height, width = x.shape[-3], x.shape[-2]
    pooled = layers.AveragePooling2D(pool_size=(height, width))(x)
    pooled = _conv(pooled, kernel_size=1)
    pooled = layers.UpSampling2D((height, width), interpolation="bilinear")(pooled)
    rates = [_conv(x, kernel_size=1 if rate == 1 else 3, dilation_rate=rate) for rate in (1, 2, 3)]
    return _conv(layers.Concatenate(axis=-1)([pooled, *rates]), kernel_size=1)


def deeplab():
    """Chen et al., "Encoder-Decoder with Atrous Separable Convolution", 2018: DeepLabV3+."""
    inputs = keras.Input((32, 32, 3))
    x = keras.applications.imagenet_utils.preprocess_input(inputs, mode="tf")
    low = _conv(layers.MaxPooling2D(2)(_conv(x, 8)))
    high = _conv(layers.MaxPooling2D(2)(low))
    x = _spatial_pyramid(high)
    a = layers.UpSampling2D((2, 2), interpolation="bilinear")(x)
    x = layers.Concatenate(axis=-1)([a, _conv(low, 8, kernel_size=1)])
    x = layers.UpSampling2D((2, 2), interpolation="bilinear")(_conv(_conv(x)))
    return keras.Model(inputs, layers.Conv2D(4, kernel_size=(1, 1), padding="same")(x)), images(32)


class RefineBlock(layers.Layer):
    """A small U-Net whose output is added to its input."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Conv2D(8, 3, padding="same")
        self.down = [layers.Conv2D(8, 3, padding="same") for _ in range(2)]
        self.up = [layers.Conv2D(8, 3, padding="same") for _ in range(2)]
        self.pool, self.grow = layers.MaxPool2D(2), layers.UpSampling2D(interpolation="bilinear")
        self.last = layers.Conv2D(1, 3, padding="same")

    def call(self, inputs):
        x, skips = self.first(inputs), []
        for conv in self.down:
            skips.append(keras.activations.relu(conv(x)))
            x = self.pool(skips[-1])
        for conv, skip in zip(self.up, reversed(skips), strict=True):
            x = keras.activations.relu(conv(ops.concatenate([self.grow(x), skip], axis=-1)))
        return inputs + self.last(x)


def boundary_aware():
    """Qin et al., "BASNet", 2019: a prediction and its refinement, several outputs."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1.0 / 127.5, offset=-1)(inputs)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    deep = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    side = layers.Conv2D(1, 3, padding="same")(deep)
    side = layers.Resizing(32, 32, interpolation="bilinear")(side)
    coarse = layers.Conv2D(1, 3, padding="same", name="coarse")(x)
    refined = RefineBlock(name="refined")(coarse)
    outputs = [layers.Activation("sigmoid")(y) for y in (refined, coarse, side)]
    return keras.Model(inputs=[inputs], outputs=outputs), images(32)


def fully_convolutional():
    """Long et al., "Fully Convolutional Networks", 2015: FCN-8s on a small body."""
    inputs = keras.Input((32, 32, 3))
    x, pools = inputs, []
    for filters in (8, 8, 16):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
        pools.append(x)
    x = layers.Conv2D(32, (4, 4), padding="same", activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    scored = [layers.Conv2D(4, 1, padding="same", activation="linear")(y) for y in (pools[0], pools[1], x)]
    two = layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False)(scored[2])
    four = layers.Conv2DTranspose(4, 4, strides=2, padding="same", use_bias=False)(
        layers.Add()([two, scored[1]])
    )
    added = layers.Add()([four, scored[0]])
    x = layers.UpSampling2D(2, data_format="channels_last", interpolation="bilinear")(added)
    return keras.Model(inputs, layers.Activation("softmax")(x)), images(32) / 255


class DownscaleBlock(layers.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.conv_a = layers.Conv2D(filters, 3, padding="same")
        self.conv_b = layers.Conv2D(filters, 3, padding="same")
        self.relu_a, self.relu_b = layers.LeakyReLU(negative_slope=0.2), layers.LeakyReLU(negative_slope=0.2)
        self.bn_a, self.bn_b = layers.BatchNormalization(), layers.BatchNormalization()
        self.pool = layers.MaxPool2D((2, 2), (2, 2))

    def call(self, x):
        d = self.conv_a(x)
        y = self.relu_a(self.bn_a(d))
        y = self.relu_b(self.bn_b(self.conv_b(y)))
        y += d
        return y, self.pool(y)


class UpscaleBlock(layers.Layer):
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.up, self.conv = layers.UpSampling2D((2, 2)), layers.Conv2D(filters, 3, padding="same")
        self.relu, self.bn = layers.LeakyReLU(negative_slope=0.2), layers.BatchNormalization()
        self.join = layers.Concatenate()

    def call(self, x, skip):
        return self.relu(self.bn(self.conv(self.join([self.up(x), skip]))))


class DepthEstimation(keras.Model):
    """An encoder and a decoder with skips, for the depth of every pixel."""

    def __init__(self):
        super().__init__()
        self.down = [DownscaleBlock(8), DownscaleBlock(16)]
        self.bottle_neck = layers.Conv2D(16, 3, padding="same", activation="relu")
        self.up = [UpscaleBlock(16), UpscaleBlock(8)]
        self.conv_layer = layers.Conv2D(1, (1, 1), padding="same", activation="tanh")
        self.loss_metric = keras.metrics.Mean(name="loss")

    def call(self, x):
        c1, p1 = self.down[0](x)
        c2, p2 = self.down[1](p1)
        x = self.bottle_neck(p2)
        return self.conv_layer(self.up[1](self.up[0](x, c2), c1))


def depth():
    model = DepthEstimation()
    model(images(32) / 255)
    return model, images(32) / 255


MODELS = {
    "U-Net, Xception style": unet_xception,
    "DeepLabV3+": deeplab,
    "BASNet": boundary_aware,
    "FCN-8s": fully_convolutional,
    "Monocular depth": depth,
}
