"""Networks that improve images: resolution, light, noise; and one that renders them."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import images, numbers


def espcn(upscale_factor=3, channels=1):
    """Shi et al., "Real-Time Single Image and Video Super-Resolution", 2016; for images of any size."""
    settings = {"activation": "relu", "kernel_initializer": "orthogonal", "padding": "same"}
    inputs = keras.Input((None, None, channels))
    x = layers.Conv2D(16, 5, **settings)(inputs)
    x = layers.Conv2D(16, 3, **settings)(x)
    x = layers.Conv2D(8, 3, **settings)(x)
    x = layers.Conv2D(channels * (upscale_factor**2), 3, **settings)(x)
    return keras.Model(inputs, DepthToSpace(upscale_factor)(x)), images(16, 1) / 255


class DepthToSpace(layers.Layer):
    def __init__(self, block_size):
        super().__init__()
        self.block_size = block_size

    def call(self, x):
        batch, height, width, depth = ops.shape(x)
        depth = depth // (self.block_size**2)
        x = ops.reshape(x, [batch, height, width, self.block_size, self.block_size, depth])
        x = ops.transpose(x, [0, 1, 3, 2, 4, 5])
        return ops.reshape(x, [batch, height * self.block_size, width * self.block_size, depth])


class EDSRModel(keras.Model):
    """Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution", 2017."""

    def train_step(self, data):
        return super().train_step(data)


def edsr():
    def res_block(inputs):
        x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
        return layers.Add()([inputs, layers.Conv2D(16, 3, padding="same")(x)])

    inputs = keras.Input((24, 24, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    x = before = layers.Conv2D(16, 3, padding="same")(x)
    for _ in range(2):
        before = res_block(before)
    x = layers.Add()([x, layers.Conv2D(16, 3, padding="same")(before)])
    x = ops.nn.depth_to_space(layers.Conv2D(64, 3, padding="same")(x), 2)
    outputs = layers.Rescaling(scale=255)(layers.Conv2D(3, 3, padding="same")(x))
    return EDSRModel(inputs, outputs), images(24)


def zero_dce():
    """Guo et al., "Zero-Reference Deep Curve Estimation", 2020: eight curves, applied one after the other."""
    inputs = keras.Input((32, 32, 3))
    settings = {"strides": (1, 1), "padding": "same", "activation": "relu"}
    one = layers.Conv2D(8, (3, 3), **settings)(inputs)
    two = layers.Conv2D(8, (3, 3), **settings)(one)
    three = layers.Conv2D(8, (3, 3), **settings)(two)
    four = layers.Conv2D(8, (3, 3), **settings)(layers.Concatenate(axis=-1)([three, two]))
    last = layers.Concatenate(axis=-1)([four, one])
    curves = layers.Conv2D(24, (3, 3), strides=(1, 1), activation="tanh", padding="same")(last)
    x = inputs
    for i in range(8):
        r = curves[:, :, :, 3 * i : 3 * i + 3]
        x = x + r * (ops.square(x) - x)
    return keras.Model(inputs, x), images(32) / 255


def _channel_attention(x):
    squeezed = layers.GlobalAveragePooling2D()(x)
    weights = ops.expand_dims(ops.expand_dims(squeezed, axis=1), axis=1)
    weights = layers.Conv2D(8, 1, activation="relu")(weights)
    return x * layers.Conv2D(16, 1, activation="sigmoid")(weights)


def _spatial_attention(x):
    pooled = ops.concatenate([ops.mean(x, -1, keepdims=True), ops.max(x, axis=-1, keepdims=True)], axis=-1)
    return x * layers.Conv2D(1, 3, padding="same", activation="sigmoid")(pooled)


def _dual_attention(inputs):
    x = layers.Conv2D(16, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(16, 3, padding="same")(x)
    x = ops.concatenate([_channel_attention(x), _spatial_attention(x)], axis=-1)
    return layers.Add()([inputs, layers.Conv2D(16, 1)(x)])


def _selective_fusion(one, two):
    gap = ops.mean(layers.Add()([one, two]), axis=[1, 2], keepdims=True)
    z = layers.Conv2D(4, 1, activation="relu")(gap)
    a, b = (ops.nn.softmax(layers.Conv2D(16, 1)(z)) for _ in range(2))
    return layers.Add()([a * one, b * two])


def mirnet():
    """Zamir et al., "Learning Enriched Features for Real Image Restoration", 2020; two resolutions."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, padding="same")(inputs)
    low = layers.Conv2D(16, 1, activation="relu")(layers.MaxPooling2D()(x))
    high, low = _dual_attention(x), _dual_attention(low)
    high = _selective_fusion(high, layers.UpSampling2D()(low))
    x = layers.Add()([x, layers.Conv2D(16, 3, padding="same")(_dual_attention(high))])
    x = layers.Conv2D(3, 3, padding="same")(x)
    return keras.Model(inputs, layers.Add()([inputs, x])), images(32) / 255


def denoising_autoencoder():
    inputs = layers.Input((28, 28, 1))
    x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    x = layers.Conv2D(16, (3, 3), activation="relu", padding="same")(x)
    x = layers.MaxPooling2D((2, 2), padding="same")(x)
    for _ in range(2):
        x = layers.Conv2DTranspose(16, (3, 3), strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2D(1, (3, 3), activation="sigmoid", padding="same")(x)
    return keras.Model(inputs, x), images(28, 1) / 255


def radiance_field():
    """Mildenhall et al., "NeRF", 2020: rays whose points are encoded by sines and cosines, with one skip."""

    def encode(x):
        waves = [x]
        for i in range(4):
            for function in (ops.sin, ops.cos):
                waves.append(function(2.0**i * x))
        return ops.concatenate(waves, axis=-1)

    inputs = keras.Input((32, 3))
    encoded = x = layers.Lambda(encode, output_shape=(32, 27))(inputs)
    for i in range(4):
        x = layers.Dense(units=16, activation="relu")(x)
        if i == 2:
            x = layers.concatenate([x, encoded], axis=-1)
    outputs = layers.Dense(units=4)(x)
    rgb, density = ops.sigmoid(outputs[..., :-1]), ops.relu(outputs[..., -1])
    return keras.Model(inputs=inputs, outputs=[rgb, density]), np.clip(numbers(32, 3), -1, 1)


MODELS = {
    "ESPCN": espcn,
    "EDSR": edsr,
    "Zero-DCE": zero_dce,
    "MIRNet": mirnet,
    "Denoising autoencoder": denoising_autoencoder,
    "NeRF": radiance_field,
}
