"""Networks that listen."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids, numbers


def speaker_recognition():
    """Residual convolutions over the halves of a spectrum."""

    def residual_block(x, filters, conv_num):
        s = layers.Conv1D(filters, 1, padding="same")(x)
        for _ in range(conv_num - 1):
            x = layers.Activation("relu")(layers.Conv1D(filters, 3, padding="same")(x))
        x = layers.Conv1D(filters, 3, padding="same")(x)
        x = layers.Activation("relu")(layers.Add()([x, s]))
        return layers.MaxPool1D(pool_size=2, strides=2)(x)

    inputs = layers.Input(shape=(64, 1), name="input")
    x = residual_block(inputs, 8, 2)
    x = residual_block(x, 16, 3)
    x = layers.Flatten()(layers.AveragePooling1D(pool_size=3, strides=3)(x))
    x = layers.Dense(16, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="output")(x)), numbers(64, 1)


def deep_speech():
    """Amodei et al., "Deep Speech 2", 2016: convolutions, then recurrent layers, a score for each step."""
    spectrogram = layers.Input((24, 17), name="input")
    x = layers.Reshape((-1, 17, 1), name="expand_dim")(spectrogram)
    for kernel, strides in (((5, 9), [2, 2]), ((5, 5), [1, 2])):
        x = layers.Conv2D(8, kernel, strides=strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Reshape((-1, x.shape[-2] * x.shape[-1]))(x)
    for i in range(2):
        recurrent = layers.GRU(8, return_sequences=True, reset_after=True, name=f"gru_{i}")
        x = layers.Bidirectional(recurrent, name=f"bidirectional_{i}", merge_mode="concat")(x)
        x = layers.Dropout(rate=0.5)(x) if i < 1 else x
    x = layers.Dropout(rate=0.5)(layers.ReLU()(layers.Dense(units=16)(x)))
    return keras.Model(spectrogram, layers.Dense(units=12, activation="softmax")(x)), np.abs(numbers(24, 17))


class TokenEmbedding(layers.Layer):
    def __init__(self, num_vocab=20, maxlen=8, num_hid=16):
        super().__init__()
        self.emb, self.pos_emb = layers.Embedding(num_vocab, num_hid), layers.Embedding(maxlen, num_hid)

    def call(self, x):
        positions = self.pos_emb(ops.arange(start=0, stop=ops.shape(x)[-1], step=1))
        return self.emb(x) + positions


class SpeechFeatureEmbedding(layers.Layer):
    def __init__(self, num_hid=16):
        super().__init__()
        self.convs = [
            layers.Conv1D(num_hid, 11, strides=2, padding="same", activation="relu") for _ in range(2)
        ]

    def call(self, x):
        return self.convs[1](self.convs[0](x))


class Encoder(layers.Layer):
    def __init__(self, embed_dim=16, num_heads=2, feed_forward_dim=32, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential(
            [layers.Dense(feed_forward_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.dropouts = [layers.Dropout(rate) for _ in range(2)]

    def call(self, inputs, training=False):
        out = self.norms[0](inputs + self.dropouts[0](self.att(inputs, inputs), training=training))
        return self.norms[1](out + self.dropouts[1](self.ffn(out), training=training))


class Decoder(layers.Layer):
    def __init__(self, embed_dim=16, num_heads=2, feed_forward_dim=32):
        super().__init__()
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(3)]
        self.self_att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.enc_att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.self_dropout, self.enc_dropout, self.ffn_dropout = (layers.Dropout(r) for r in (0.5, 0.1, 0.1))
        self.ffn = keras.Sequential(
            [layers.Dense(feed_forward_dim, activation="relu"), layers.Dense(embed_dim)]
        )

    def call(self, enc_out, target):
        batch_size, seq_len = ops.shape(target)[0], ops.shape(target)[1]
        i = ops.arange(seq_len)
        mask = ops.broadcast_to((i[:, None] >= i)[None], (batch_size, seq_len, seq_len))
        target_att = self.self_att(target, target, attention_mask=mask)
        target_norm = self.norms[0](target + self.self_dropout(target_att))
        enc_out = self.enc_att(target_norm, enc_out)
        enc_out_norm = self.norms[1](self.enc_dropout(enc_out) + target_norm)
        return self.norms[2](enc_out_norm + self.ffn_dropout(self.ffn(enc_out_norm)))


class SpeechTransformer(keras.Model):
    """Dong et al., "Speech-Transformer", 2018."""

    def __init__(self, layers_enc=2, layers_dec=1, num_classes=20):
        super().__init__()
        self.loss_metric = keras.metrics.Mean(name="loss")
        self.layers_dec, self.num_classes = layers_dec, num_classes
        self.enc_input, self.dec_input = SpeechFeatureEmbedding(), TokenEmbedding()
        self.encoder = keras.Sequential([self.enc_input] + [Encoder() for _ in range(layers_enc)])
        for i in range(layers_dec):
            setattr(self, f"dec_layer_{i}", Decoder())
        self.classifier = layers.Dense(num_classes)

    def decode(self, enc_out, target):
        y = self.dec_input(target)
        for i in range(self.layers_dec):
            y = getattr(self, f"dec_layer_{i}")(enc_out, y)
        return y

    def call(self, inputs):
        source, target = inputs
        return self.classifier(self.decode(self.encoder(source), target))

    @property
    def metrics(self):
        return [self.loss_metric]


def speech_transformer():
    model, data = SpeechTransformer(), [numbers(32, 9), ids(8, 20)]
    model(data)
    return model, data


def keyword_spotting():
    """Zhang et al., "Hello Edge", 2017: depthwise separable convolutions over mel coefficients."""
    inputs = keras.Input((25, 10))
    x = layers.Reshape((25, 10, 1))(layers.Normalization(mean=0.1, variance=2.0, axis=None)(inputs))
    x = layers.Conv2D(16, (10, 4), strides=(2, 2), padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for _ in range(3):
        x = layers.ReLU()(
            layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        )
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x)))
    x = layers.Dropout(0.4)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(12, activation="softmax")(x)), numbers(25, 10)


def spectrogram_cnn():
    """Raw sound: the spectrogram is computed in the model."""
    inputs = keras.Input((1024,))
    x = layers.MelSpectrogram(fft_length=128, sequence_stride=64, sampling_rate=8000, num_mel_bins=16)(inputs)
    x = layers.Conv2D(8, 3, activation="relu")(ops.expand_dims(x, -1))
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x)), numbers(1024)


MODELS = {
    "Speaker recognition": speaker_recognition,
    "Deep Speech 2": deep_speech,
    "Speech transformer": speech_transformer,
    "Keyword spotting": keyword_spotting,
    "Spectrogram in the model": spectrogram_cnn,
}
