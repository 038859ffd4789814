"""Networks that read measurements over time."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import numbers


def fully_convolutional():
    """Wang et al., "Time Series Classification from Scratch", 2017."""
    inputs = x = layers.Input((50, 1))
    for _ in range(3):
        x = layers.Conv1D(filters=16, kernel_size=3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(
        inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(x))
    ), numbers(50, 1)


def series_transformer():
    inputs = x = keras.Input((24, 1))
    for _ in range(2):
        y = layers.MultiHeadAttention(key_dim=16, num_heads=2, dropout=0.25)(x, x)
        y = layers.LayerNormalization(epsilon=1e-6)(layers.Dropout(0.25)(y))
        res = y + x
        y = layers.Conv1D(filters=4, kernel_size=1, activation="relu")(res)
        y = layers.Conv1D(filters=1, kernel_size=1)(layers.Dropout(0.25)(y))
        x = layers.LayerNormalization(epsilon=1e-6)(y) + res
    x = layers.GlobalAveragePooling1D(data_format="channels_last")(x)
    x = layers.Dropout(0.4)(layers.Dense(16, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x)), numbers(24, 1)


def weather_lstm():
    inputs = keras.layers.Input(shape=(20, 7))
    return keras.Model(inputs, layers.Dense(1)(layers.LSTM(16)(inputs))), numbers(20, 7)


def anomaly_autoencoder():
    model = keras.Sequential(
        [
            layers.Input(shape=(48, 1)),
            layers.Conv1D(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1D(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(filters=8, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Dropout(rate=0.2),
            layers.Conv1DTranspose(filters=16, kernel_size=7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(filters=1, kernel_size=7, padding="same"),
        ]
    )
    return model, numbers(48, 1)


class GraphConv(layers.Layer):
    """Averages of neighbours, by a list of edges, beside what a node knows itself."""

    def __init__(self, in_feat, out_feat, edges, num_nodes, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.out_feat, self.edges, self.num_nodes = out_feat, edges, num_nodes
        self.weight = self.add_weight(
            initializer=keras.initializers.GlorotUniform(),
            shape=(in_feat, out_feat),
            dtype="float32",
            trainable=True,
        )
        self.activation = layers.Activation(activation)

    def call(self, features):
        neighbours = ops.take(features, self.edges[1], axis=0)
        added = ops.segment_sum(neighbours, self.edges[0], num_segments=self.num_nodes)
        counts = np.bincount(self.edges[0], minlength=self.num_nodes).astype("float32")
        aggregated = ops.matmul(added / counts[:, None, None, None], self.weight)
        return self.activation(ops.concatenate([ops.matmul(features, self.weight), aggregated], axis=-1))


class LSTMGC(layers.Layer):
    """Yu et al., "Spatio-Temporal Graph Convolutional Networks", 2018, with an LSTM for the time."""

    def __init__(
        self, in_feat, out_feat, lstm_units, input_seq_len, output_seq_len, edges, num_nodes, **kwargs
    ):
        super().__init__(**kwargs)
        self.graph_conv = GraphConv(in_feat, out_feat, edges, num_nodes, "relu")
        self.lstm, self.dense = layers.LSTM(lstm_units, activation="relu"), layers.Dense(output_seq_len)
        self.input_seq_len, self.output_seq_len = input_seq_len, output_seq_len

    def call(self, inputs):
        inputs = ops.transpose(inputs, [2, 0, 1, 3])
        out = self.graph_conv(inputs)
        num_nodes, batch_size, steps, width = ops.shape(out)
        out = ops.reshape(out, (batch_size * num_nodes, steps, width))
        dense = self.dense(self.lstm(out))
        output = ops.reshape(dense, (num_nodes, batch_size, self.output_seq_len))
        return ops.transpose(output, [1, 2, 0])


def traffic():
    edges = np.array([[0, 0, 1, 1, 2, 2, 3, 3], [0, 1, 1, 2, 2, 3, 3, 0]], "int32")
    inputs = layers.Input((6, 4, 1))
    return keras.Model(inputs, LSTMGC(1, 4, 8, 6, 3, edges, 4)(inputs)), numbers(6, 4, 1)


def eeg_net():
    inputs = x = keras.Input(shape=(64, 1))
    for filters in (8, 16):
        x = layers.Conv1D(filters=filters, kernel_size=3, strides=2, activation="relu", padding="same")(x)
        x = layers.BatchNormalization()(x)
    x = layers.Conv1D(filters=16, kernel_size=5, strides=2, activation="relu", padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    for units in (32, 16):
        x = layers.Dense(units, activation="relu", kernel_regularizer=keras.regularizers.L2())(x)
        x = layers.Dropout(0.2)(x)
    return keras.Model(inputs=inputs, outputs=layers.Dense(5, activation="softmax")(x)), numbers(64, 1)


def lawhern_eeg():
    """Lawhern et al., "EEGNet", 2018: filters in time, then over electrodes, then both apart."""
    inputs = keras.Input((8, 64, 1))
    x = layers.Conv2D(4, (1, 16), padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(
        (8, 1), use_bias=False, depth_multiplier=2, depthwise_constraint=keras.constraints.MaxNorm(1.0)
    )(x)
    x = layers.AveragePooling2D((1, 4))(layers.Activation("elu")(layers.BatchNormalization()(x)))
    x = layers.SeparableConv2D(8, (1, 16), use_bias=False, padding="same")(layers.SpatialDropout2D(0.5)(x))
    x = layers.AveragePooling2D((1, 8))(layers.Activation("elu")(layers.BatchNormalization()(x)))
    x = layers.Dense(4, kernel_constraint=keras.constraints.MaxNorm(0.25))(layers.Flatten()(x))
    return keras.Model(inputs, layers.Activation("softmax")(x)), numbers(8, 64, 1)


def temporal_convolution():
    """Bai et al., "An Empirical Evaluation of Generic Convolutional and Recurrent Networks", 2018."""
    inputs = x = keras.Input((32, 3))
    for dilation in (1, 2, 4):
        y = layers.Conv1D(12, 3, padding="causal", dilation_rate=dilation, activation="relu")(x)
        y = layers.Conv1D(12, 3, padding="causal", dilation_rate=dilation, activation="relu")(
            layers.SpatialDropout1D(0.1)(y)
        )
        x = layers.Activation("relu")(layers.add([y, layers.Conv1D(12, 1)(x)]))
    return keras.Model(inputs, layers.Dense(1)(x[:, -1, :])), numbers(32, 3)


MODELS = {
    "FCN for series": fully_convolutional,
    "Transformer for series": series_transformer,
    "Weather LSTM": weather_lstm,
    "Anomaly autoencoder": anomaly_autoencoder,
    "Graph convolution and LSTM": traffic,
    "EEG signals": eeg_net,
    "EEGNet": lawhern_eeg,
    "TCN": temporal_convolution,
}
