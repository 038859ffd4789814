"""Vision transformers that look through windows, shift them, or fold patches into a batch."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import images

WIDTH, HEADS, WINDOW = 16, 2, 4


def window_partition(x, window_size):
    _, height, width, channels = x.shape
    y, z = height // window_size, width // window_size
    x = ops.reshape(x, (-1, y, window_size, z, window_size, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, window_size, window_size, channels))


def window_reverse(windows, window_size, height, width, channels):
    y, z = height // window_size, width // window_size
    x = ops.reshape(windows, (-1, y, z, window_size, window_size, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height, width, channels))


class WindowAttention(layers.Layer):
    def __init__(self, dim, window_size, num_heads, dropout_rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.dim, self.window_size, self.num_heads = dim, window_size, num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = layers.Dense(dim * 3, use_bias=True)
        self.dropout, self.proj = layers.Dropout(dropout_rate), layers.Dense(dim)
        places = np.stack(np.meshgrid(*(range(window_size),) * 2, indexing="ij")).reshape(2, -1)
        apart = (places[:, :, None] - places[:, None]).transpose(1, 2, 0) + window_size - 1
        self.relative_position_index = keras.Variable(
            initializer=apart[..., 0] * (2 * window_size - 1) + apart[..., 1],
            shape=apart.shape[:2], dtype="int", trainable=False,
        )  # fmt: skip

    def build(self, input_shape):
        self.relative_position_bias_table = self.add_weight(
            shape=((2 * self.window_size - 1) ** 2, self.num_heads), initializer="zeros", trainable=True
        )

    def call(self, x, mask=None):
        _, size, channels = x.shape
        qkv = ops.reshape(self.qkv(x), (-1, size, 3, self.num_heads, channels // self.num_heads))
        qkv = ops.transpose(qkv, (2, 0, 3, 1, 4))
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q * self.scale) @ ops.transpose(k, (0, 1, 3, 2))
        flat = ops.reshape(self.relative_position_index, (-1,))
        bias = ops.reshape(ops.take(self.relative_position_bias_table, flat, axis=0), (size, size, -1))
        attn = attn + ops.expand_dims(ops.transpose(bias, (2, 0, 1)), axis=0)
        if mask is not None:
            windows = mask.shape[0]
            masked = ops.cast(ops.expand_dims(ops.expand_dims(mask, axis=1), axis=0), "float32")
            attn = ops.reshape(attn, (-1, windows, self.num_heads, size, size)) + masked
            attn = ops.reshape(attn, (-1, self.num_heads, size, size))
        attn = self.dropout(keras.activations.softmax(attn, axis=-1))
        x = ops.reshape(ops.transpose(attn @ v, (0, 2, 1, 3)), (-1, size, channels))
        return self.dropout(self.proj(x))


class SwinBlock(layers.Layer):
    """Liu et al., "Swin Transformer", 2021."""

    def __init__(self, dim, patches, shift_size, **kwargs):
        super().__init__(**kwargs)
        self.patches, self.shift_size = patches, shift_size
        self.norm1, self.norm2 = (
            layers.LayerNormalization(epsilon=1e-5),
            layers.LayerNormalization(epsilon=1e-5),
        )
        self.attn = WindowAttention(dim, WINDOW, HEADS)
        self.mlp = keras.Sequential(
            [
                layers.Dense(2 * dim),
                layers.Activation(keras.activations.gelu),
                layers.Dropout(0.1),
                layers.Dense(dim),
            ]
        )
        self.mask = self.shifted_mask() if shift_size else None

    def shifted_mask(self):
        cuts = (slice(0, -WINDOW), slice(-WINDOW, -self.shift_size), slice(-self.shift_size, None))
        regions = np.zeros((1, *self.patches, 1), "float32")
        for count, (y, z) in enumerate((y, z) for y in cuts for z in cuts):
            regions[:, y, z] = count
        flat = ops.reshape(window_partition(ops.array(regions), WINDOW), [-1, WINDOW * WINDOW])
        apart = ops.expand_dims(flat, axis=1) - ops.expand_dims(flat, axis=2)
        return keras.Variable(ops.where(apart != 0, -100.0, 0.0), trainable=False)

    def call(self, x, training=False):
        (height, width), channels = self.patches, x.shape[-1]
        skip = x
        x = ops.reshape(self.norm1(x), (-1, height, width, channels))
        if self.shift_size > 0:
            x = ops.roll(x, shift=[-self.shift_size, -self.shift_size], axis=[1, 2])
        windows = ops.reshape(window_partition(x, WINDOW), (-1, WINDOW * WINDOW, channels))
        windows = self.attn(windows, mask=self.mask)
        x = window_reverse(
            ops.reshape(windows, (-1, WINDOW, WINDOW, channels)), WINDOW, height, width, channels
        )
        if self.shift_size > 0:
            x = ops.roll(x, shift=[self.shift_size, self.shift_size], axis=[1, 2])
        x = skip + ops.reshape(x, (-1, height * width, channels))
        return x + self.mlp(self.norm2(x))


class PatchMerging(layers.Layer):
    def __init__(self, size, embed_dim):
        super().__init__()
        self.size, self.embed_dim = size, embed_dim
        self.linear_trans = layers.Dense(2 * embed_dim, use_bias=False)

    def call(self, x):
        height, width = self.size
        x = ops.reshape(x, (-1, height, width, self.embed_dim))
        parts = [x[:, a::2, b::2, :] for b in (0, 1) for a in (0, 1)]
        x = ops.reshape(
            ops.concatenate(parts, axis=-1), (-1, (height // 2) * (width // 2), 4 * self.embed_dim)
        )
        return self.linear_trans(x)


def swin():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(WIDTH, 4, strides=4)(inputs)
    x = layers.Reshape((64, WIDTH))(x)
    for shift in (0, 2):
        x = SwinBlock(WIDTH, (8, 8), shift)(x)
    x = layers.GlobalAveragePooling1D()(PatchMerging((8, 8), WIDTH)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), images(32) / 255


def mobile_vit():
    """Mehta and Rastegari, "MobileViT", 2022: a transformer over the places of all patches."""

    def conv(x, filters, kernel_size=3, strides=1):
        return layers.Conv2D(
            filters, kernel_size, strides=strides, activation=keras.activations.swish, padding="same"
        )(x)

    def inverted(x, expanded, output, strides=1):
        m = layers.Conv2D(expanded, 1, padding="same", use_bias=False)(x)
        m = keras.activations.swish(layers.BatchNormalization()(m))
        if strides == 2:
            m = layers.ZeroPadding2D(padding=((0, 1), (0, 1)))(m)
        m = layers.DepthwiseConv2D(3, strides, padding="same" if strides == 1 else "valid", use_bias=False)(m)
        m = keras.activations.swish(layers.BatchNormalization()(m))
        m = layers.BatchNormalization()(layers.Conv2D(output, 1, padding="same", use_bias=False)(m))
        return layers.Add()([m, x]) if x.shape[-1] == output and strides == 1 else m

    inputs = keras.Input((32, 32, 3))
    x = conv(layers.Rescaling(scale=1.0 / 255)(inputs), 8, strides=2)
    x = inverted(inverted(x, 16, 8), 16, 16, strides=2)
    local = conv(conv(x, WIDTH), WIDTH, kernel_size=1)
    tokens = layers.Reshape((4, 16, WIDTH))(local)
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(tokens)
        y = layers.Add()([layers.MultiHeadAttention(num_heads=2, key_dim=WIDTH, dropout=0.1)(y, y), tokens])
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        for units in (32, WIDTH):
            z = layers.Dropout(0.1)(layers.Dense(units, activation=keras.activations.swish)(z))
        tokens = layers.Add()([z, y])
    folded = conv(layers.Reshape((8, 8, WIDTH))(tokens), 16, kernel_size=1)
    x = conv(layers.Concatenate(axis=-1)([x, folded]), WIDTH)
    x = layers.GlobalAvgPool2D()(conv(x, 24, kernel_size=1))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x)), images(32)


class LayerScale(layers.Layer):
    def __init__(self, init_values, projection_dim, **kwargs):
        super().__init__(**kwargs)
        self.gamma = self.add_weight(
            shape=(projection_dim,), initializer=keras.initializers.Constant(init_values), name="gamma"
        )

    def call(self, x, training=False):
        return x * self.gamma


class AttentionPooling(layers.Layer):
    """A class token that reads all patches, and shows which ones."""

    def __init__(self, dim):
        super().__init__()
        self.attention = layers.MultiHeadAttention(num_heads=1, key_dim=dim, dropout=0.2)
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(3)]
        self.layer_scale, self.mlp = (
            LayerScale(0.1, dim),
            keras.Sequential([layers.Dense(dim, activation="gelu")]),
        )

    def build(self, input_shape):
        self.class_token = self.add_weight(shape=(1, input_shape[-1]), initializer="zeros", name="token")

    def call(self, inputs):
        token = ops.expand_dims(ops.repeat(self.class_token, ops.shape(inputs)[0], axis=0), 1)
        x = self.norms[0](ops.concatenate([token, inputs], axis=1))
        out, viz_weights = self.attention(query=x[:, 0:1], key=x, value=x, return_attention_scores=True)
        token = token + self.norms[1](out) * 1.0
        token = token + self.layer_scale(self.mlp(self.norms[2](token)))
        return ops.squeeze(token, axis=1), ops.squeeze(viz_weights, axis=(1, 2))


def patch_conv_net():
    """Touvron et al., "Augmenting Convolutional Networks with Attention-Based Aggregation", 2021."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(scale=1.0 / 255)(inputs)
    for _ in range(2):
        x = layers.Conv2D(WIDTH, 3, strides=2, padding="same", activation="gelu", use_bias=False)(x)
    for _ in range(2):
        y = layers.Conv2D(WIDTH, 1, activation="gelu")(layers.BatchNormalization()(x))
        y = layers.DepthwiseConv2D(3, padding="same", activation="gelu")(y)
        squeezed = layers.GlobalAveragePooling2D(keepdims=True)(y)
        squeezed = layers.Dense(WIDTH, activation="sigmoid", use_bias=False)(
            layers.Dense(8, activation="relu")(squeezed)
        )
        y = layers.Multiply()([squeezed, y])
        x = layers.Add()([LayerScale(1e-1, WIDTH)(layers.Conv2D(WIDTH, 1)(y)), x])
    x = layers.Reshape((-1, WIDTH))(x)
    x, weights = AttentionPooling(WIDTH)(x)
    return keras.Model(inputs, [layers.Dense(10)(x), weights]), images(32)


MODELS = {"Swin": swin, "MobileViT": mobile_vit, "Patch ConvNet": patch_conv_net}
