"""Networks that read text and say something about it."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids

LENGTH, WORDS, WIDTH = 16, 60, 16


def bag_of_words():
    """Numbers of words in the model, counted there as a multi-hot vector."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = layers.CategoryEncoding(num_tokens=WORDS, output_mode="multi_hot")(inputs)
    x = layers.Dropout(0.5)(layers.Dense(16, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(4, activation="sigmoid")(x)), ids(LENGTH, WORDS)


def bag_of_embeddings():
    inputs = keras.Input((None,), dtype="int64")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(WORDS, WIDTH, mask_zero=True)(inputs))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), ids(LENGTH, WORDS)


def strided_cnn():
    inputs = keras.Input(shape=(None,), dtype="int64")
    x = layers.Dropout(0.5)(layers.Embedding(WORDS, WIDTH)(inputs))
    x = layers.Conv1D(16, 7, padding="valid", activation="relu", strides=3)(x)
    x = layers.Conv1D(16, 2, padding="valid", activation="relu", strides=2)(x)
    x = layers.Dense(16, activation="relu")(layers.GlobalMaxPooling1D()(x))
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="predictions")(x)), ids(
        LENGTH, WORDS
    )


def pretrained_embedding_cnn():
    inputs = keras.Input((28,), dtype="int32")
    table = np.random.default_rng(0).normal(size=(WORDS, WIDTH)).astype("float32")
    embedding = layers.Embedding(WORDS, WIDTH, trainable=False)
    embedding.build((1,))
    embedding.set_weights([table])
    x = layers.Conv1D(16, 5, activation="relu")(embedding(inputs))
    x = layers.Conv1D(16, 5, activation="relu")(layers.MaxPooling1D(2)(x))
    x = layers.GlobalMaxPooling1D()(x)
    x = layers.Dropout(0.5)(layers.Dense(16, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x)), ids(28, WORDS)


def bidirectional_lstm():
    inputs = keras.Input(shape=(None,), dtype="int32")
    x = layers.Embedding(WORDS, WIDTH)(inputs)
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(x)
    x = layers.Bidirectional(layers.LSTM(8))(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), ids(LENGTH, WORDS)


class TransformerBlock(layers.Layer):
    """Vaswani et al., "Attention Is All You Need", 2017."""

    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
        self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
        self.dropout1, self.dropout2 = layers.Dropout(rate), layers.Dropout(rate)

    def call(self, inputs):
        attended = self.dropout1(self.att(inputs, inputs))
        out1 = self.layernorm1(inputs + attended)
        return self.layernorm2(out1 + self.dropout2(self.ffn(out1)))


class TokenAndPositionEmbedding(layers.Layer):
    def __init__(self, maxlen, vocab_size, embed_dim):
        super().__init__()
        self.token_emb = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.pos_emb = layers.Embedding(input_dim=maxlen, output_dim=embed_dim)

    def call(self, x):
        maxlen = ops.shape(x)[-1]
        positions = self.pos_emb(ops.arange(start=0, stop=maxlen, step=1))
        return self.token_emb(x) + positions


def text_transformer():
    inputs = layers.Input((LENGTH,))
    x = TransformerBlock(WIDTH, 2, 32)(TokenAndPositionEmbedding(LENGTH, WORDS, WIDTH)(inputs))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
    x = layers.Dropout(0.1)(layers.Dense(20, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x)), ids(LENGTH, WORDS)


class Router(layers.Layer):
    """Sends each token to one expert, as far as that one has room."""

    def __init__(self, num_experts, expert_capacity):
        super().__init__()
        self.num_experts, self.expert_capacity = num_experts, expert_capacity
        self.route = layers.Dense(num_experts)

    def call(self, inputs, training=False):
        logits = self.route(inputs)
        if training:
            logits += keras.random.uniform(shape=ops.shape(logits), minval=0.9, maxval=1.1)
        probs = keras.activations.softmax(logits, axis=-1)
        gate, index = ops.top_k(probs, k=1)
        mask = ops.one_hot(ops.squeeze(index, -1), self.num_experts)
        place = ops.cast(ops.cumsum(mask, axis=0) * mask, "int32")
        mask *= ops.cast(ops.less(place, self.expert_capacity), "float32")
        place = place * ops.cast(mask, "int32")
        kept = ops.sum(mask, axis=-1)
        gate = ops.squeeze(gate, -1) * kept
        where = ops.squeeze(ops.one_hot(ops.sum(place, -1), self.expert_capacity))
        combine = gate[:, None, None] * kept[:, None, None] * mask[:, :, None] * where[:, None, :]
        return ops.cast(ops.not_equal(combine, 0), "float32"), combine


class Switch(layers.Layer):
    """Fedus et al., "Switch Transformers", 2022."""

    def __init__(self, num_experts, embed_dim, ff_dim, num_tokens_per_batch):
        super().__init__()
        self.num_experts, self.embed_dim = num_experts, embed_dim
        self.experts = [
            keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
            for _ in range(num_experts)
        ]
        self.capacity = num_tokens_per_batch // num_experts
        self.router = Router(num_experts, self.capacity)

    def call(self, inputs):
        length = ops.shape(inputs)[1]
        tokens = ops.reshape(inputs, [-1, self.embed_dim])
        dispatch, combine = self.router(tokens)
        given = ops.einsum("ab,acd->cdb", tokens, dispatch)
        given = ops.reshape(given, [self.num_experts, self.capacity, self.embed_dim])
        outputs = [expert(x) for expert, x in zip(self.experts, ops.unstack(given, axis=0), strict=True)]
        outputs = ops.einsum("abc,xab->xc", ops.stack(outputs, axis=0), combine)
        return ops.reshape(outputs, [-1, length, self.embed_dim])


class SwitchBlock(TransformerBlock):
    def __init__(self, embed_dim, num_heads, ffn):
        super().__init__(embed_dim, num_heads, 8)
        self.ffn = ffn


def switch_transformer():
    inputs = layers.Input((LENGTH,))
    x = TokenAndPositionEmbedding(LENGTH, WORDS, WIDTH)(inputs)
    x = SwitchBlock(WIDTH, 2, Switch(2, WIDTH, 32, 2 * LENGTH))(x)
    x = layers.Dense(16, activation="relu")(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(x)), ids(LENGTH, WORDS)


class FourierBlock(layers.Layer):
    """Lee-Thorp et al., "FNet", 2022: a Fourier transform in place of attention."""

    def __init__(self, embed_dim, dense_dim, **kwargs):
        super().__init__(**kwargs)
        self.dense_proj = keras.Sequential(
            [layers.Dense(dense_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.layernorm_1, self.layernorm_2 = layers.LayerNormalization(), layers.LayerNormalization()

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        real, _ = ops.fft2((x, ops.zeros_like(x)))
        x = self.layernorm_1(inputs + real)
        return self.layernorm_2(x + self.dense_proj(x))


def fnet():
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = FourierBlock(WIDTH, 32)(TokenAndPositionEmbedding(LENGTH, WORDS, WIDTH)(inputs))
    x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x)), ids(LENGTH, WORDS)


class NERModel(keras.Model):
    """A class for every word."""

    def __init__(self, num_tags):
        super().__init__()
        self.embedding_layer = TokenAndPositionEmbedding(LENGTH, WORDS, WIDTH)
        self.transformer_block = TransformerBlock(WIDTH, 4, 32)
        self.dropout1, self.dropout2 = layers.Dropout(0.1), layers.Dropout(0.1)
        self.ff, self.ff_final = (
            layers.Dense(32, activation="relu"),
            layers.Dense(num_tags, activation="softmax"),
        )

    def call(self, inputs, training=False):
        x = self.transformer_block(self.embedding_layer(inputs))
        x = self.ff(self.dropout1(x, training=training))
        return self.ff_final(self.dropout2(x, training=training))


def entity_recognition():
    model = NERModel(9)
    model(ids(LENGTH, WORDS))
    return model, ids(LENGTH, WORDS)


MODELS = {
    "Bag of words": bag_of_words,
    "Bag of embeddings": bag_of_embeddings,
    "Text CNN": strided_cnn,
    "CNN on given embeddings": pretrained_embedding_cnn,
    "Bidirectional LSTM": bidirectional_lstm,
    "Text transformer": text_transformer,
    "Switch Transformer": switch_transformer,
    "FNet": fnet,
    "Named entities": entity_recognition,
}
