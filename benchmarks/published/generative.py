"""Networks that make data: autoencoders, diffusion, flows, autoregressive ones."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids, numbers


class Sampling(layers.Layer):
    """Draws from a normal distribution in training, and also in inference."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        batch, dim = ops.shape(z_mean)[0], ops.shape(z_mean)[1]
        epsilon = keras.random.normal(shape=(batch, dim), seed=self.seed_generator)
        return z_mean + ops.exp(0.5 * z_log_var) * epsilon


def _vae_encoder(sampled):
    inputs = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(16, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    z_mean, z_log_var = layers.Dense(2, name="z_mean")(x), layers.Dense(2, name="z_log_var")(x)
    outputs = [z_mean, z_log_var] + ([Sampling()([z_mean, z_log_var])] if sampled else [])
    return keras.Model(inputs, outputs, name="encoder"), np.abs(numbers(28, 28, 1))


def vae_encoder():
    """Kingma and Welling, "Auto-Encoding Variational Bayes", 2014: mean and variance of an image's code."""
    return _vae_encoder(False)


def vae_sampler():
    return _vae_encoder(True)


def vae_decoder():
    model = keras.Sequential([keras.Input(shape=(2,)), layers.Dense(7 * 7 * 16, activation="relu")])
    model.add(layers.Reshape((7, 7, 16)))
    for filters in (16, 8):
        model.add(layers.Conv2DTranspose(filters, 3, activation="relu", strides=2, padding="same"))
    model.add(layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same"))
    return model, numbers(2)


class TimeEmbedding(layers.Layer):
    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.half_dim = dim // 2
        step = np.log(10000) / (self.half_dim - 1)
        self.emb = ops.exp(ops.arange(self.half_dim, dtype="float32") * -step)

    def call(self, inputs):
        inputs = ops.cast(inputs, dtype="float32")
        emb = inputs[:, None] * self.emb[None, :]
        return ops.concatenate([ops.sin(emb), ops.cos(emb)], axis=-1)


class AttentionBlock(layers.Layer):
    """Attention over all places of an image at once: a softmax over two axes, made one."""

    def __init__(self, units, groups=4, **kwargs):
        self.units, self.groups = units, groups
        super().__init__(**kwargs)
        self.norm = layers.GroupNormalization(groups=groups)
        self.query, self.key, self.value, self.proj = (layers.Dense(units) for _ in range(4))

    def call(self, inputs):
        batch_size, height, width = ops.shape(inputs)[0], ops.shape(inputs)[1], ops.shape(inputs)[2]
        scale = ops.cast(self.units, "float32") ** (-0.5)
        inputs_norm = self.norm(inputs)
        q, k, v = self.query(inputs_norm), self.key(inputs_norm), self.value(inputs_norm)
        score = ops.einsum("bhwc,bHWc->bhwHW", q, k) * scale
        score = ops.nn.softmax(ops.reshape(score, [batch_size, height, width, height * width]), -1)
        score = ops.reshape(score, [batch_size, height, width, height, width])
        return inputs + self.proj(ops.einsum("bhwHW,bHWc->bhwc", score, v))


def _residual(x, t, width):
    residual = x if x.shape[3] == width else layers.Conv2D(width, kernel_size=1)(x)
    temb = layers.Dense(width)(keras.activations.swish(t))[:, None, None, :]
    x = layers.Conv2D(width, 3, padding="same")(
        keras.activations.swish(layers.GroupNormalization(groups=4)(x))
    )
    x = layers.Add()([x, temb])
    x = layers.Conv2D(width, 3, padding="same")(
        keras.activations.swish(layers.GroupNormalization(groups=4)(x))
    )
    return layers.Add()([x, residual])


def ddpm():
    """Ho et al., "Denoising Diffusion Probabilistic Models", 2020."""
    image, time = (
        layers.Input((16, 16, 3), name="image_input"),
        keras.Input((), dtype=np.int64, name="time_input"),
    )
    first = layers.Conv2D(8, kernel_size=(3, 3), padding="same")(image)
    temb = TimeEmbedding(dim=16)(time)
    temb = layers.Dense(16)(layers.Dense(16, activation=keras.activations.swish)(temb))
    one = _residual(first, temb, 8)
    down = layers.Conv2D(8, kernel_size=3, strides=2, padding="same")(one)
    two = AttentionBlock(16)(_residual(down, temb, 16))
    x = _residual(AttentionBlock(16)(_residual(two, temb, 16)), temb, 16)
    x = _residual(layers.Concatenate(axis=-1)([x, two]), temb, 16)
    x = layers.Conv2D(16, 3, padding="same")(layers.UpSampling2D(size=2, interpolation="nearest")(x))
    x = _residual(layers.Concatenate(axis=-1)([x, one]), temb, 8)
    x = keras.activations.swish(layers.GroupNormalization(groups=4)(x))
    x = layers.Conv2D(3, (3, 3), padding="same", kernel_initializer="zeros")(x)
    return keras.Model([image, time], x, name="unet"), [numbers(16, 16, 3), ids(1, 1000)[:, 0]]


def sinusoidal_embedding(x):
    frequencies = ops.exp(ops.linspace(ops.log(1.0), ops.log(1000.0), 4))
    angular_speeds = ops.cast(2.0 * np.pi * frequencies, "float32")
    return ops.concatenate([ops.sin(angular_speeds * x), ops.cos(angular_speeds * x)], axis=3)


def ddim():
    """Song et al., "Denoising Diffusion Implicit Models", 2021: the noise of an image, told how much."""

    def block(x, width):
        residual = x if x.shape[3] == width else layers.Conv2D(width, kernel_size=1)(x)
        x = layers.BatchNormalization(center=False, scale=False)(x)
        x = layers.Conv2D(width, kernel_size=3, padding="same", activation="swish")(x)
        return layers.Add()([layers.Conv2D(width, kernel_size=3, padding="same")(x), residual])

    noisy_images, variances = keras.Input((16, 16, 3)), keras.Input((1, 1, 1))
    e = layers.Lambda(sinusoidal_embedding, output_shape=(1, 1, 8))(variances)
    e = layers.UpSampling2D(size=16, interpolation="nearest")(e)
    x = layers.Concatenate()([layers.Conv2D(8, kernel_size=1)(noisy_images), e])
    skip = block(x, 8)
    x = block(layers.AveragePooling2D(pool_size=2)(skip), 16)
    x = layers.UpSampling2D(size=2, interpolation="bilinear")(x)
    x = block(layers.Concatenate()([x, skip]), 8)
    x = layers.Conv2D(3, kernel_size=1, kernel_initializer="zeros")(x)
    return keras.Model([noisy_images, variances], x), [numbers(16, 16, 3), np.abs(numbers(1, 1, 1)) / 3]


class VectorQuantizer(layers.Layer):
    """Van den Oord et al., "Neural Discrete Representation Learning", 2017."""

    def __init__(self, num_embeddings, embedding_dim, beta=0.25, **kwargs):
        super().__init__(**kwargs)
        self.embedding_dim, self.num_embeddings, self.beta = embedding_dim, num_embeddings, beta
        self.embeddings = self.add_weight(
            shape=(embedding_dim, num_embeddings),
            initializer="random_uniform",
            trainable=True,
            name="embeddings_vqvae",
        )

    def call(self, x):
        input_shape = ops.shape(x)
        flattened = ops.reshape(x, [-1, self.embedding_dim])
        indices = self.get_code_indices(flattened)
        encodings = ops.one_hot(indices, self.num_embeddings)
        quantized = ops.reshape(ops.matmul(encodings, ops.transpose(self.embeddings)), input_shape)
        commitment = ops.mean((ops.stop_gradient(quantized) - x) ** 2)
        self.add_loss(self.beta * commitment + ops.mean((quantized - ops.stop_gradient(x)) ** 2))
        return x + ops.stop_gradient(quantized - x)

    def get_code_indices(self, flattened_inputs):
        similarity = ops.matmul(flattened_inputs, self.embeddings)
        distances = ops.sum(flattened_inputs**2, axis=1, keepdims=True) + ops.sum(self.embeddings**2, axis=0)
        return ops.argmin(distances - 2 * similarity, axis=1)


def vq_vae():
    inputs = keras.Input(shape=(28, 28, 1))
    x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(16, 3, activation="relu", strides=2, padding="same")(x)
    x = VectorQuantizer(16, 8, name="vector_quantizer")(layers.Conv2D(8, 1, padding="same")(x))
    for filters in (16, 8):
        x = layers.Conv2DTranspose(filters, 3, activation="relu", strides=2, padding="same")(x)
    return keras.Model(inputs, layers.Conv2DTranspose(1, 3, padding="same")(x), name="vq_vae"), np.abs(
        numbers(28, 28, 1)
    )


class PixelConvLayer(layers.Layer):
    """Van den Oord et al., "Conditional Image Generation with PixelCNN Decoders", 2016."""

    def __init__(self, mask_type, **kwargs):
        super().__init__()
        self.mask_type = mask_type
        self.conv = layers.Conv2D(**kwargs)

    def build(self, input_shape):
        self.conv.build(input_shape)
        height, width, *_ = ops.shape(self.conv.kernel)
        self.mask = np.zeros(shape=self.conv.kernel.shape)
        self.mask[: height // 2, ...] = 1.0
        self.mask[height // 2, : width // 2, ...] = 1.0
        if self.mask_type == "B":
            self.mask[height // 2, width // 2, ...] = 1.0

    def call(self, inputs):
        self.conv.kernel.assign(self.conv.kernel * self.mask)
        return self.conv(inputs)


def pixel_cnn():
    inputs = keras.Input(shape=(16, 16, 1))
    x = PixelConvLayer(mask_type="A", filters=16, kernel_size=7, activation="relu", padding="same")(inputs)
    for _ in range(2):
        y = layers.Conv2D(filters=16, kernel_size=1, activation="relu")(x)
        y = PixelConvLayer(mask_type="B", filters=8, kernel_size=3, activation="relu", padding="same")(y)
        x = layers.add([x, layers.Conv2D(filters=16, kernel_size=1, activation="relu")(y)])
    x = PixelConvLayer(
        mask_type="B", filters=16, kernel_size=1, strides=1, activation="relu", padding="valid"
    )(x)
    out = layers.Conv2D(filters=1, kernel_size=1, strides=1, activation="sigmoid", padding="valid")(x)
    return keras.Model(inputs, out), (numbers(16, 16, 1) > 0).astype("float32")


def _coupling(input_shape):
    inputs = t = s = keras.Input((input_shape,))
    for _ in range(2):
        t, s = layers.Dense(16, activation="relu")(t), layers.Dense(16, activation="relu")(s)
    outputs = [
        layers.Dense(input_shape, activation="linear")(t),
        layers.Dense(input_shape, activation="tanh")(s),
    ]
    return keras.Model(inputs=inputs, outputs=outputs)


class RealNVP(keras.Model):
    """Dinh et al., "Density Estimation Using Real NVP", 2017: from data to noise, and the volume."""

    def __init__(self, num_coupling_layers):
        super().__init__()
        self.num_coupling_layers = num_coupling_layers
        self.masks = ops.convert_to_tensor([[0, 1], [1, 0]] * (num_coupling_layers // 2), dtype="float32")
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.layers_list = [_coupling(2) for _ in range(num_coupling_layers)]

    @property
    def metrics(self):
        return [self.loss_tracker]

    def call(self, x, training=False):
        log_det_inv = 0
        for i in range(self.num_coupling_layers)[::-1]:
            x_masked = x * self.masks[i]
            reversed_mask = 1 - self.masks[i]
            t, s = self.layers_list[i](x_masked)
            s, t = s * reversed_mask, t * reversed_mask
            x = reversed_mask * (x * ops.exp(-s) - t * ops.exp(-s)) + x_masked
            log_det_inv += ops.sum(-s, axis=1)
        return x, log_det_inv


def real_nvp():
    model = RealNVP(4)
    model(numbers(2))
    return model, numbers(2)


MODELS = {
    "VAE encoder": vae_encoder,
    "VAE encoder that samples": vae_sampler,
    "VAE decoder": vae_decoder,
    "DDPM U-Net": ddpm,
    "DDIM U-Net": ddim,
    "VQ-VAE": vq_vae,
    "PixelCNN": pixel_cnn,
    "RealNVP": real_nvp,
}
