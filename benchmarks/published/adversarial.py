"""Networks of adversarial training, and those that paint in a style."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids, numbers


def dcgan_discriminator():
    """Radford et al., "Unsupervised Representation Learning with DCGAN", 2016."""
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for filters in (8, 16, 16):
        model.add(layers.Conv2D(filters, kernel_size=4, strides=2, padding="same"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.2))
    model.add(layers.Dense(1, activation="sigmoid"))
    return model, np.tanh(numbers(32, 32, 3))


def dcgan_generator():
    model = keras.Sequential([keras.Input((16,)), layers.Dense(4 * 4 * 16), layers.Reshape((4, 4, 16))])
    for filters in (16, 24, 32):
        model.add(layers.Conv2DTranspose(filters, kernel_size=4, strides=2, padding="same"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    model.add(layers.Conv2D(3, kernel_size=5, padding="same", activation="sigmoid"))
    return model, numbers(16)


def conditional_generator():
    """Mirza and Osindero, "Conditional Generative Adversarial Nets", 2014."""
    noise, label = keras.Input((16,)), keras.Input((), dtype="int32")
    x = layers.Concatenate()([noise, ops.one_hot(label, 10)])
    x = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(7 * 7 * 8)(x))
    x = layers.Reshape((7, 7, 8))(x)
    for _ in range(2):
        x = layers.Conv2DTranspose(16, (4, 4), strides=(2, 2), padding="same")(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
    outputs = layers.Conv2D(1, (7, 7), padding="same", activation="sigmoid")(x)
    return keras.Model([noise, label], outputs), [numbers(16), ids(1, 10)[:, 0]]


def pix2pix():
    """Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017."""
    start = keras.initializers.RandomNormal(0.0, 0.02)

    def downsample(filters, size, apply_batchnorm=True):
        result = keras.Sequential()
        result.add(
            layers.Conv2D(filters, size, strides=2, padding="same", kernel_initializer=start, use_bias=False)
        )
        if apply_batchnorm:
            result.add(layers.BatchNormalization())
        result.add(layers.LeakyReLU())
        return result

    def upsample(filters, size, apply_dropout=False):
        result = keras.Sequential()
        result.add(
            layers.Conv2DTranspose(
                filters, size, strides=2, padding="same", kernel_initializer=start, use_bias=False
            )
        )
        result.add(layers.BatchNormalization())
        if apply_dropout:
            result.add(layers.Dropout(0.5))
        result.add(layers.ReLU())
        return result

    inputs = x = layers.Input(shape=[32, 32, 3])
    skips = []
    for down in (downsample(8, 4, False), downsample(16, 4), downsample(16, 4)):
        x = down(x)
        skips.append(x)
    for up, skip in zip((upsample(16, 4, True), upsample(8, 4)), reversed(skips[:-1]), strict=True):
        x = layers.Concatenate()([up(x), skip])
    x = layers.Conv2DTranspose(3, 4, strides=2, padding="same", kernel_initializer=start, activation="tanh")(
        x
    )
    return keras.Model(inputs=inputs, outputs=x), np.tanh(numbers(32, 32, 3))


class ReflectionPadding2D(layers.Layer):
    def __init__(self, padding=(1, 1), **kwargs):
        self.padding = tuple(padding)
        super().__init__(**kwargs)

    def call(self, input_tensor, mask=None):
        width, height = self.padding
        return ops.pad(input_tensor, [[0, 0], [height, height], [width, width], [0, 0]], mode="reflect")


def _cycle_block(x, activation):
    dim, start = x.shape[-1], keras.initializers.RandomNormal(mean=0.0, stddev=0.02)
    y = x
    for last in (False, True):
        y = layers.Conv2D(dim, (3, 3), kernel_initializer=start, use_bias=False)(ReflectionPadding2D()(y))
        y = layers.GroupNormalization(groups=-1, gamma_initializer=start)(y)
        y = y if last else activation(y)
    return layers.add([x, y])


def cycle_gan_generator():
    """Zhu et al., "Unpaired Image-to-Image Translation", 2017: mirrored borders, every channel normalized."""
    inputs = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, (7, 7), use_bias=False)(ReflectionPadding2D(padding=(3, 3))(inputs))
    x = layers.Activation("relu")(layers.GroupNormalization(groups=-1)(x))
    x = layers.Conv2D(16, (3, 3), strides=(2, 2), padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(layers.GroupNormalization(groups=-1)(x))
    x = _cycle_block(x, layers.Activation("relu"))
    x = layers.Conv2DTranspose(8, (3, 3), strides=(2, 2), padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(layers.GroupNormalization(groups=-1)(x))
    x = layers.Conv2D(3, (7, 7), padding="valid")(ReflectionPadding2D(padding=(3, 3))(x))
    return keras.Model(inputs, layers.Activation("tanh")(x)), np.tanh(numbers(16, 16, 3))


def wgan_critic():
    """Gulrajani et al., "Improved Training of Wasserstein GANs", 2017."""
    inputs = layers.Input(shape=(28, 28, 1))
    x = layers.ZeroPadding2D((2, 2))(inputs)
    for filters in (8, 16, 24):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 5, strides=(2, 2), padding="same", use_bias=True)(x))
        x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(layers.Flatten()(x)))), np.tanh(
        numbers(28, 28, 1)
    )


def wgan_generator():
    def upsample_block(x, filters, activation, use_bn=False):
        x = layers.UpSampling2D((2, 2))(x)
        x = layers.Conv2D(filters, (3, 3), padding="same", use_bias=False)(x)
        return activation(layers.BatchNormalization()(x) if use_bn else x)

    noise = layers.Input(shape=(16,))
    x = layers.BatchNormalization()(layers.Dense(4 * 4 * 16, use_bias=False)(noise))
    x = layers.Reshape((4, 4, 16))(layers.LeakyReLU(0.2)(x))
    x = upsample_block(x, 16, layers.LeakyReLU(0.2), use_bn=True)
    x = upsample_block(x, 8, layers.LeakyReLU(0.2), use_bn=True)
    x = upsample_block(x, 1, layers.Activation("tanh"), use_bn=True)
    return keras.Model(noise, layers.Cropping2D((2, 2))(x)), numbers(16)


def get_mean_std(x, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[1, 2], keepdims=True)
    return mean, ops.sqrt(variance + epsilon)


class StyleTransfer(keras.Model):
    """Huang and Belongie, "Arbitrary Style Transfer in Real-Time", 2017: statistics of a style."""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential(
            [layers.Conv2D(8, 3, strides=2, padding="same", activation="relu") for _ in range(2)]
        )
        self.decoder = keras.Sequential()
        for filters in (8, 8):
            self.decoder.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
            self.decoder.add(layers.UpSampling2D())
        self.decoder.add(layers.Conv2D(3, 3, padding="same", activation="sigmoid"))

    def call(self, inputs):
        style, content = inputs
        style, content = self.encoder(style), self.encoder(content)
        content_mean, content_std = get_mean_std(content)
        style_mean, style_std = get_mean_std(style)
        return self.decoder(style_std * (content - content_mean) / content_std + style_mean)


def style_transfer():
    model, data = StyleTransfer(), [np.abs(numbers(16, 16, 3)), np.abs(numbers(16, 16, 3, seed=1))]
    model(data)
    return model, data


class SPADE(layers.Layer):
    """Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", 2019."""

    def __init__(self, filters, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.conv = layers.Conv2D(16, 3, padding="same", activation="relu")
        self.conv_gamma = layers.Conv2D(filters, 3, padding="same")
        self.conv_beta = layers.Conv2D(filters, 3, padding="same")

    def build(self, input_shape):
        self.resize_shape = input_shape[1:3]

    def call(self, input_tensor, raw_mask):
        mask = ops.image.resize(raw_mask, self.resize_shape, interpolation="nearest")
        x = self.conv(mask)
        gamma, beta = self.conv_gamma(x), self.conv_beta(x)
        mean, var = ops.moments(input_tensor, axes=(0, 1, 2), keepdims=True)
        normalized = (input_tensor - mean) / ops.sqrt(var + self.epsilon)
        return gamma * normalized + beta


def gau_gan():
    """Its moments are of a whole batch, in inference too."""
    latent, mask = keras.Input((16,)), keras.Input((16, 16, 4))
    x = layers.Reshape((4, 4, 16))(layers.Dense(256)(latent))
    for filters in (16, 8):
        y = layers.Conv2D(filters, 3, padding="same")(ops.leaky_relu(SPADE(x.shape[-1])(x, mask), 0.2))
        x = layers.UpSampling2D((2, 2))(layers.Add()([y, layers.Conv2D(filters, 1)(x)]))
    x = ops.tanh(layers.Conv2D(3, 4, padding="same")(ops.leaky_relu(x, 0.2)))
    labels = np.eye(4, dtype="float32")[np.random.default_rng(0).integers(0, 4, (2, 16, 16))]
    return keras.Model([latent, mask], x), [numbers(16), labels]


class ModulatedDense(layers.Layer):
    """Karras et al., "A Style-Based Generator Architecture for GANs", 2019: styles scale channels."""

    def __init__(self, filters):
        super().__init__()
        self.conv, self.scale, self.shift = (
            layers.Conv2D(filters, 3, padding="same"), layers.Dense(filters), layers.Dense(filters),
        )  # fmt: skip

    def build(self, shapes):
        self.noise_gain = self.add_weight(shape=(shapes[0][-1],), initializer="zeros", name="noise")

    def call(self, inputs):
        x, w, noise = inputs
        x = ops.leaky_relu(self.conv(x + self.noise_gain * noise), 0.2)
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        x = (x - mean) / (ops.std(x, axis=(1, 2), keepdims=True) + 1e-5)
        scale, shift = (ops.reshape(y(w), (-1, 1, 1, x.shape[-1])) for y in (self.scale, self.shift))
        return scale * x + 1.0 + shift


def style_gan():
    z, noise = keras.Input((16,)), keras.Input((8, 8, 1))
    w = z / ops.sqrt(ops.mean(z**2, axis=-1, keepdims=True) + 1e-8)
    for _ in range(2):
        w = layers.LeakyReLU(0.2)(layers.Dense(16)(w))
    x = layers.Reshape((4, 4, 8))(layers.Dense(128)(layers.GaussianNoise(0.1)(w)))
    x = ModulatedDense(8)([layers.UpSampling2D(interpolation="bilinear")(x), w, noise])
    return keras.Model([z, noise], layers.Conv2D(3, 1)(x)), [numbers(16), numbers(8, 8, 1)]


MODELS = {
    "DCGAN discriminator": dcgan_discriminator,
    "DCGAN generator": dcgan_generator,
    "Conditional GAN generator": conditional_generator,
    "pix2pix generator": pix2pix,
    "CycleGAN generator": cycle_gan_generator,
    "WGAN critic": wgan_critic,
    "WGAN generator": wgan_generator,
    "Style transfer (AdaIN)": style_transfer,
    "GauGAN generator": gau_gan,
    "StyleGAN block": style_gan,
}
