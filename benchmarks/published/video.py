"""Networks for videos, volumes and clouds of points."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import numbers


def cnn_rnn():
    """Features of single frames, then recurrent layers over those that are there."""
    frames = keras.Input((6, 16))
    mask = keras.Input((6,), dtype="bool")
    x = layers.GRU(16, return_sequences=True)(frames, mask=mask)
    x = layers.GRU(8)(x)
    x = layers.Dense(8, activation="relu")(layers.Dropout(0.4)(x))
    shown = np.ones((2, 6), bool)
    shown[0, 4:] = False
    return keras.Model([frames, mask], layers.Dense(5, activation="softmax")(x)), [numbers(6, 16), shown]


def distributed_cnn():
    frames = keras.Input((4, 16, 16, 3))
    cnn = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    x = layers.TimeDistributed(cnn)(frames)
    return keras.Model(frames, layers.Dense(5, activation="softmax")(layers.LSTM(16)(x))), numbers(
        4, 16, 16, 3
    )


class PositionalEmbedding(layers.Layer):
    def __init__(self, sequence_length, output_dim, **kwargs):
        super().__init__(**kwargs)
        self.position_embeddings = layers.Embedding(input_dim=sequence_length, output_dim=output_dim)
        self.sequence_length, self.output_dim = sequence_length, output_dim

    def build(self, input_shape):
        self.position_embeddings.build(input_shape)

    def call(self, inputs):
        inputs = ops.cast(inputs, self.compute_dtype)
        positions = ops.arange(start=0, stop=ops.shape(inputs)[1], step=1)
        return inputs + self.position_embeddings(positions)


class Encoder(layers.Layer):
    def __init__(self, embed_dim, dense_dim, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim, dropout=0.3)
        self.dense_proj = keras.Sequential(
            [layers.Dense(dense_dim, activation=keras.activations.gelu), layers.Dense(embed_dim)]
        )
        self.layernorm_1, self.layernorm_2 = layers.LayerNormalization(), layers.LayerNormalization()

    def call(self, inputs, mask=None):
        attended = self.attention(inputs, inputs, attention_mask=mask)
        x = self.layernorm_1(inputs + attended)
        return self.layernorm_2(x + self.dense_proj(x))


def video_transformer():
    inputs = keras.Input((6, 16))
    x = PositionalEmbedding(6, 16, name="frame_position_embedding")(inputs)
    x = Encoder(16, 4, 1, name="transformer_layer")(x)
    x = layers.Dropout(0.5)(layers.GlobalMaxPooling1D()(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x)), numbers(6, 16)


class TubeletEmbedding(layers.Layer):
    """Arnab et al., "ViViT", 2021: patches that last several frames."""

    def __init__(self, embed_dim, patch_size, **kwargs):
        super().__init__(**kwargs)
        self.projection = layers.Conv3D(
            embed_dim, kernel_size=patch_size, strides=patch_size, padding="VALID"
        )
        self.flatten = layers.Reshape(target_shape=(-1, embed_dim))

    def call(self, videos):
        return self.flatten(self.projection(videos))


class PositionalEncoder(layers.Layer):
    def __init__(self, embed_dim, **kwargs):
        super().__init__(**kwargs)
        self.embed_dim = embed_dim

    def build(self, input_shape):
        _, num_tokens, _ = input_shape
        self.position_embedding = layers.Embedding(input_dim=num_tokens, output_dim=self.embed_dim)
        self.positions = ops.arange(0, num_tokens, 1)

    def call(self, encoded_tokens):
        return encoded_tokens + self.position_embedding(self.positions)


def vivit():
    inputs = layers.Input((8, 16, 16, 1))
    x = PositionalEncoder(16)(TubeletEmbedding(16, (4, 8, 8))(inputs))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(y, y)
        z = layers.Add()([y, x])
        y = layers.LayerNormalization(epsilon=1e-6)(z)
        y = keras.Sequential([layers.Dense(64, activation="gelu"), layers.Dense(16, activation="gelu")])(y)
        x = layers.Add()([y, z])
    x = layers.GlobalAvgPool1D()(layers.LayerNormalization(epsilon=1e-6)(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x)), numbers(8, 16, 16, 1)


def conv_lstm():
    """Shi et al., "Convolutional LSTM Network", 2015: the next frames."""
    inputs = layers.Input((4, 12, 12, 1))
    x = layers.ConvLSTM2D(8, (5, 5), padding="same", return_sequences=True, activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ConvLSTM2D(8, (3, 3), padding="same", return_sequences=True, activation="relu")(x)
    x = layers.Conv3D(1, (3, 3, 3), activation="sigmoid", padding="same")(x)
    return keras.Model(inputs, x), np.abs(numbers(4, 12, 12, 1))


class Conv2Plus1D(layers.Layer):
    """Tran et al., "A Closer Look at Spatiotemporal Convolutions", 2018."""

    def __init__(self, filters, kernel_size, padding):
        super().__init__()
        time, height, width = kernel_size
        self.seq = keras.Sequential(
            [
                layers.Conv3D(filters=filters, kernel_size=(1, height, width), padding=padding),
                layers.Conv3D(filters=filters, kernel_size=(time, 1, 1), padding=padding),
            ]
        )

    def call(self, x):
        return self.seq(x)


class ResizeVideo(layers.Layer):
    def __init__(self, height, width):
        super().__init__()
        self.height, self.width = height, width
        self.resizing_layer = layers.Resizing(height, width)

    def call(self, video):
        batch, time, height, width, channels = ops.shape(video)
        images = self.resizing_layer(ops.reshape(video, (-1, height, width, channels)))
        return ops.reshape(images, (batch, time, self.height, self.width, channels))


def video_resnet():
    inputs = layers.Input((4, 16, 16, 3))
    x = Conv2Plus1D(8, (3, 5, 5), "same")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = ResizeVideo(8, 8)(x)
    y = layers.LayerNormalization()(Conv2Plus1D(8, (3, 3, 3), "same")(x))
    y = layers.LayerNormalization()(Conv2Plus1D(8, (3, 3, 3), "same")(layers.ReLU()(y)))
    x = layers.add([x, y])
    x = layers.Flatten()(layers.GlobalAveragePooling3D()(x))
    return keras.Model(inputs, layers.Dense(5)(x)), numbers(4, 16, 16, 3)


def ct_scan():
    inputs = keras.Input((24, 24, 12, 1))
    x = inputs
    for filters in (8, 8, 16):
        x = layers.Conv3D(filters=filters, kernel_size=3, activation="relu", padding="same")(x)
        x = layers.MaxPool3D(pool_size=2)(x)
        x = layers.BatchNormalization()(x)
    x = layers.Dense(units=16, activation="relu")(layers.GlobalAveragePooling3D()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.3)(x))), numbers(
        24, 24, 12, 1
    )


class OrthogonalRegularizer(keras.regularizers.Regularizer):
    def __init__(self, num_features, l2reg=0.001):
        self.num_features, self.l2reg = num_features, l2reg

    def __call__(self, x):
        x = ops.reshape(x, (-1, self.num_features, self.num_features))
        product = ops.tensordot(x, x, axes=(2, 2))
        product = ops.reshape(product, (-1, self.num_features, self.num_features))
        return ops.sum(self.l2reg * ops.square(product - ops.eye(self.num_features)))

    def get_config(self):
        return {"num_features": self.num_features, "l2reg": self.l2reg}


def _conv_bn(x, filters):
    x = layers.Conv1D(filters, kernel_size=1, padding="valid")(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0)(x))


def _dense_bn(x, filters):
    x = layers.Dense(filters)(x)
    return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0)(x))


def _transformed(inputs, num_features):
    x = layers.GlobalMaxPooling1D()(_conv_bn(_conv_bn(inputs, 8), 16))
    x = layers.Dense(
        num_features * num_features, kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(np.eye(num_features).flatten()),
        activity_regularizer=OrthogonalRegularizer(num_features),
    )(_dense_bn(x, 8))  # fmt: skip
    transformation = layers.Reshape((num_features, num_features))(x)
    return layers.Dot(axes=(2, 1))([inputs, transformation])


def pointnet():
    """Qi et al., "PointNet", 2017."""
    inputs = keras.Input((32, 3))
    x = _conv_bn(_transformed(inputs, 3), 8)
    x = _conv_bn(_transformed(x, 8), 16)
    x = layers.Dropout(0.3)(_dense_bn(layers.GlobalMaxPooling1D()(x), 16))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x)), numbers(32, 3)


def pointnet_segmentation():
    inputs = keras.Input((32, 3))
    x = _transformed(inputs, 3)
    one = _conv_bn(x, 8)
    two = _conv_bn(_transformed(one, 8), 16)
    whole = layers.MaxPool1D(pool_size=32)(two)
    whole = keras.ops.tile(whole, [1, 32, 1])
    x = layers.Concatenate(name="segmentation_input")([one, two, whole])
    x = _conv_bn(x, 16)
    return keras.Model(inputs, layers.Conv1D(4, kernel_size=1, activation="softmax")(x)), numbers(32, 3)


MODELS = {
    "CNN-RNN for videos": cnn_rnn,
    "CNN in TimeDistributed": distributed_cnn,
    "Video transformer": video_transformer,
    "ViViT": vivit,
    "ConvLSTM": conv_lstm,
    "(2+1)D ResNet": video_resnet,
    "3-D CNN (CT)": ct_scan,
    "PointNet": pointnet,
    "PointNet, segmentation": pointnet_segmentation,
}
