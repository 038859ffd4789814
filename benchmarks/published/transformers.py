"""Image classifiers with attention."""

import math

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import images

SIDE, PATCH, COUNT, WIDTH, HEADS = 32, 8, 16, 16, 2


def mlp(x, hidden_units, dropout_rate):
    for units in hidden_units:
        x = layers.Dense(units, activation=keras.activations.gelu)(x)
        x = layers.Dropout(dropout_rate)(x)
    return x


class Patches(layers.Layer):
    def __init__(self, patch_size):
        super().__init__()
        self.patch_size = patch_size

    def call(self, images):
        batch_size, height, width, channels = ops.shape(images)
        patches = ops.image.extract_patches(images, size=self.patch_size)
        count = (height // self.patch_size) * (width // self.patch_size)
        return ops.reshape(patches, (batch_size, count, self.patch_size * self.patch_size * channels))

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}


class PatchEncoder(layers.Layer):
    def __init__(self, num_patches, projection_dim):
        super().__init__()
        self.num_patches = num_patches
        self.projection = layers.Dense(units=projection_dim)
        self.position_embedding = layers.Embedding(input_dim=num_patches, output_dim=projection_dim)

    def call(self, patch):
        positions = ops.expand_dims(ops.arange(start=0, stop=self.num_patches, step=1), axis=0)
        return self.projection(patch) + self.position_embedding(positions)


def _blocks(x, attention):
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([attention(y), x])
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([mlp(y, [WIDTH * 2, WIDTH], 0.1), x])
    return layers.LayerNormalization(epsilon=1e-6)(x)


def _heads(y):
    return layers.MultiHeadAttention(num_heads=HEADS, key_dim=8, dropout=0.1)(y, y)


def vit():
    """Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021."""
    inputs = keras.Input((SIDE, SIDE, 3))
    augmented = layers.RandomZoom(0.2, 0.2)(layers.RandomFlip("horizontal")(layers.Normalization()(inputs)))
    x = _blocks(PatchEncoder(COUNT, WIDTH)(Patches(PATCH)(augmented)), _heads)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10)(mlp(x, [32], 0.5))), images(SIDE) / 255


class ShiftedPatches(layers.Layer):
    """Lee et al., "Vision Transformer for Small-Size Datasets", 2021: four shifts beside the image."""

    def __init__(self, patch_size=PATCH, **kwargs):
        super().__init__(**kwargs)
        self.patch_size, self.half = patch_size, patch_size // 2
        self.flat = layers.Reshape((COUNT, -1))
        self.norm, self.projection = layers.LayerNormalization(epsilon=1e-6), layers.Dense(WIDTH)

    def shifted(self, x, up, left):
        h, rest = self.half, SIDE - self.half
        x = x[:, h if up else 0 : SIDE if up else rest, h if left else 0 : SIDE if left else rest]
        return ops.pad(x, [[0, 0], [0, h] if up else [h, 0], [0, h] if left else [h, 0], [0, 0]])

    def call(self, x):
        shifts = [self.shifted(x, up, left) for up in (True, False) for left in (True, False)]
        patches = ops.image.extract_patches(
            ops.concatenate([x, *shifts], -1), self.patch_size, padding="valid"
        )
        return self.projection(self.norm(self.flat(patches)))


class LocalSelfAttention(layers.MultiHeadAttention):
    """Attention whose temperature is trained and in which no token sees itself."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tau = keras.Variable(math.sqrt(float(self._key_dim)), trainable=True)

    def _compute_attention(
        self, query, key, value, attention_mask=None, training=None, return_attention_scores=False
    ):
        query = ops.multiply(query, 1.0 / self.tau)
        scores = ops.einsum(self._dot_product_equation, key, query)
        scores = self._masked_softmax(scores, attention_mask)
        dropped = self._dropout_layer(scores, training=training)
        return ops.einsum(self._combine_equation, dropped, value), scores


def vit_small_data():
    inputs = keras.Input((SIDE, SIDE, 3))
    mask = 1 - np.eye(COUNT, dtype="int8")[None]
    x = PatchEncoder(COUNT, WIDTH)(ShiftedPatches()(inputs))
    x = _blocks(x, lambda y: LocalSelfAttention(HEADS, 8, dropout=0.1)(y, y, attention_mask=mask))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x))), images(SIDE) / 255


class SequencePooling(layers.Layer):
    def __init__(self):
        super().__init__()
        self.attention = layers.Dense(1)

    def call(self, x):
        weights = ops.transpose(ops.softmax(self.attention(x), axis=1), axes=(0, 2, 1))
        return ops.squeeze(ops.matmul(weights, x), axis=-2)


class StochasticDepth(layers.Layer):
    def __init__(self, drop_prop, **kwargs):
        super().__init__(**kwargs)
        self.drop_prob = drop_prop
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, x, training=None):
        if training:
            keep_prob = 1 - self.drop_prob
            shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
            kept = keep_prob + keras.random.uniform(shape, 0, 1, seed=self.seed_generator)
            return (x / keep_prob) * ops.floor(kept)
        return x


def compact_transformer():
    """Hassani et al., "Escaping the Big Data Paradigm with Compact Transformers", 2021."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    for size in (8, WIDTH):
        x = layers.Conv2D(size, 3, 1, padding="same", use_bias=False, activation="relu")(x)
        x = layers.MaxPooling2D(3, 2, "same")(x)
    x = ops.reshape(x, (-1, ops.shape(x)[1] * ops.shape(x)[2], ops.shape(x)[-1]))
    x = _blocks(x, lambda y: StochasticDepth(0.1)(_heads(y)))
    return keras.Model(inputs, layers.Dense(10)(SequencePooling()(x))), images(SIDE)


def external_attention():
    """Guo et al., "Beyond Self-Attention", 2021: memories in place of keys, normalized over both axes."""

    def attend(x):
        x = layers.Dense(WIDTH * 4)(x)
        x = ops.transpose(ops.reshape(x, (-1, COUNT, HEADS * 4, 8)), (0, 2, 1, 3))
        attention = layers.Dense(8)(x)
        attention = layers.Softmax(axis=2)(attention)
        attention = attention / ops.convert_to_tensor(1e-9 + ops.sum(attention, axis=-1, keepdims=True))
        x = ops.transpose(layers.Dense(8)(attention), (0, 2, 1, 3))
        return layers.Dense(WIDTH)(ops.reshape(x, (-1, COUNT, WIDTH * 4)))

    inputs = keras.Input((SIDE, SIDE, 3))
    x = _blocks(PatchEncoder(COUNT, WIDTH)(Patches(PATCH)(inputs)), attend)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling1D()(x))), (
        images(SIDE) / 255
    )


class Perceiver(keras.Model):
    """Jaegle et al., "Perceiver", 2021: a small latent array reads the patches again and again."""

    def __init__(self):
        super().__init__()
        self.patcher, self.encoder = Patches(PATCH), PatchEncoder(COUNT, WIDTH)
        latent, data = keras.Input((4, WIDTH)), keras.Input((COUNT, WIDTH))
        query = layers.Dense(WIDTH)(layers.LayerNormalization(epsilon=1e-6)(latent))
        y = layers.LayerNormalization(epsilon=1e-6)(data)
        read = layers.Attention(use_scale=True, dropout=0.1)(
            [query, layers.Dense(WIDTH)(y), layers.Dense(WIDTH)(y)], return_attention_scores=False
        )
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([read, query]))
        self.cross_attention = keras.Model(
            {"latent": latent, "data": data}, layers.Add()([mlp(x, [16], 0.1), x])
        )
        within = keras.Input((4, WIDTH))
        self.transformer = keras.Model(within, _blocks(within, _heads))
        self.pool, self.head = layers.GlobalAveragePooling1D(), layers.Dense(10)

    def build(self, input_shape):
        self.latent_array = self.add_weight(shape=(4, WIDTH), initializer="random_normal", trainable=True)
        super().build(input_shape)

    def call(self, inputs):
        data = self.encoder(self.patcher(inputs))
        latent = ops.expand_dims(self.latent_array, 0)
        for _ in range(2):
            latent = self.cross_attention({"latent": latent, "data": data})
            latent = self.transformer(latent)
        return self.head(self.pool(latent))


def perceiver():
    model = Perceiver()
    model(images(SIDE) / 255)
    return model, images(SIDE) / 255


MODELS = {
    "ViT": vit,
    "ViT for small data": vit_small_data,
    "CCT": compact_transformer,
    "EANet": external_attention,
    "Perceiver": perceiver,
}
