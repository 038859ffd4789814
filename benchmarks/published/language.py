"""Networks that write text, translate it, or answer from it."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids, numbers
from benchmarks.published.text import LENGTH, WIDTH, WORDS, TokenAndPositionEmbedding


def causal_attention_mask(batch_size, n_dest, n_src, dtype):
    i, j = ops.arange(n_dest)[:, None], ops.arange(n_src)
    mask = ops.reshape(ops.cast(i >= j - n_src + n_dest, dtype), [1, n_dest, n_src])
    mult = ops.concatenate([ops.expand_dims(batch_size, -1), ops.convert_to_tensor([1, 1])], 0)
    return ops.tile(mask, mult)


class DecoderBlock(layers.Layer):
    def __init__(self, embed_dim, num_heads, ff_dim, rate=0.1):
        super().__init__()
        self.att = layers.MultiHeadAttention(num_heads, embed_dim)
        self.ffn = keras.Sequential([layers.Dense(ff_dim, activation="relu"), layers.Dense(embed_dim)])
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.dropouts = [layers.Dropout(rate) for _ in range(2)]

    def call(self, inputs):
        batch_size, seq_len = ops.shape(inputs)[0], ops.shape(inputs)[1]
        mask = causal_attention_mask(batch_size, seq_len, seq_len, "bool")
        attended = self.dropouts[0](self.att(inputs, inputs, attention_mask=mask))
        out = self.norms[0](inputs + attended)
        return self.norms[1](out + self.dropouts[1](self.ffn(out)))


def mini_gpt():
    """Radford et al., "Improving Language Understanding by Generative Pre-Training", 2018."""
    inputs = layers.Input((LENGTH,), dtype="int32")
    x = DecoderBlock(WIDTH, 2, 32)(TokenAndPositionEmbedding(LENGTH, WORDS, WIDTH)(inputs))
    return keras.Model(inputs=inputs, outputs=[layers.Dense(WORDS)(x), x]), ids(LENGTH, WORDS)


def character_seq2seq():
    """Sutskever et al., "Sequence to Sequence Learning with Neural Networks", 2014."""
    encoder_inputs = keras.Input(shape=(None, 12))
    _, state_h, state_c = layers.LSTM(16, return_state=True)(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, 10))
    outputs, _, _ = layers.LSTM(16, return_sequences=True, return_state=True)(
        decoder_inputs, initial_state=[state_h, state_c]
    )
    outputs = layers.Dense(10, activation="softmax")(outputs)
    rng = np.random.default_rng(0)
    data = [np.eye(size, dtype="float32")[rng.integers(0, size, (2, 8))] for size in (12, 10)]
    return keras.Model([encoder_inputs, decoder_inputs], outputs), data


def adding_numbers():
    model = keras.Sequential([layers.Input((7, 12)), layers.LSTM(16), layers.RepeatVector(4)])
    model.add(layers.LSTM(16, return_sequences=True))
    model.add(layers.Dense(12, activation="softmax"))
    return model, np.eye(12, dtype="float32")[np.random.default_rng(0).integers(0, 12, (2, 7))]


def character_lstm():
    model = keras.Sequential([keras.Input((20, 30)), layers.LSTM(16), layers.Dense(30, activation="softmax")])
    return model, np.eye(30, dtype="float32")[np.random.default_rng(0).integers(0, 30, (2, 20))]


class Positions(layers.Layer):
    """Token and position embeddings that hand on which tokens are padding."""

    def __init__(self, sequence_length, vocab_size, embed_dim, **kwargs):
        super().__init__(**kwargs)
        self.token_embeddings = layers.Embedding(input_dim=vocab_size, output_dim=embed_dim)
        self.position_embeddings = layers.Embedding(input_dim=sequence_length, output_dim=embed_dim)

    def call(self, inputs):
        positions = ops.arange(0, ops.shape(inputs)[-1], 1)
        return self.token_embeddings(inputs) + self.position_embeddings(positions)

    def compute_mask(self, inputs, mask=None):
        return ops.not_equal(inputs, 0)


class TransformerEncoder(layers.Layer):
    def __init__(self, embed_dim, dense_dim, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.dense_proj = keras.Sequential(
            [layers.Dense(dense_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.layernorm_1, self.layernorm_2 = layers.LayerNormalization(), layers.LayerNormalization()
        self.supports_masking = True

    def call(self, inputs, mask=None):
        padding_mask = ops.cast(mask[:, None, :], dtype="int32") if mask is not None else None
        attended = self.attention(query=inputs, value=inputs, key=inputs, attention_mask=padding_mask)
        x = self.layernorm_1(inputs + attended)
        return self.layernorm_2(x + self.dense_proj(x))


class TransformerDecoder(layers.Layer):
    def __init__(self, embed_dim, latent_dim, num_heads, **kwargs):
        super().__init__(**kwargs)
        self.attention_1 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.attention_2 = layers.MultiHeadAttention(num_heads=num_heads, key_dim=embed_dim)
        self.dense_proj = keras.Sequential(
            [layers.Dense(latent_dim, activation="relu"), layers.Dense(embed_dim)]
        )
        self.norms = [layers.LayerNormalization() for _ in range(3)]
        self.supports_masking = True

    def call(self, inputs, mask=None):
        inputs, encoded = inputs
        causal_mask = self.get_causal_attention_mask(inputs)
        seen, encoded_mask = mask if mask is not None else (None, None)
        attended = self.attention_1(
            query=inputs, value=inputs, key=inputs, attention_mask=causal_mask, query_mask=seen
        )
        out = self.norms[0](inputs + attended)
        read = self.attention_2(query=out, value=encoded, key=encoded, query_mask=seen, key_mask=encoded_mask)
        out = self.norms[1](out + read)
        return self.norms[2](out + self.dense_proj(out))

    def get_causal_attention_mask(self, inputs):
        batch_size, length = ops.shape(inputs)[0], ops.shape(inputs)[1]
        mask = ops.cast(ops.arange(length)[:, None] >= ops.arange(length), dtype="int32")
        mask = ops.reshape(mask, (1, length, length))
        mult = ops.concatenate([ops.expand_dims(batch_size, -1), ops.convert_to_tensor([1, 1])], axis=0)
        return ops.tile(mask, mult)


def translation():
    encoder_inputs = keras.Input(shape=(None,), dtype="int64", name="encoder_inputs")
    x = Positions(LENGTH, WORDS, WIDTH)(encoder_inputs)
    encoded = TransformerEncoder(WIDTH, 32, 2)(x)
    decoder_inputs = keras.Input(shape=(None,), dtype="int64", name="decoder_inputs")
    x = TransformerDecoder(WIDTH, 32, 2)([Positions(LENGTH, WORDS, WIDTH)(decoder_inputs), encoded])
    x = layers.Dense(WORDS, activation="softmax")(layers.Dropout(0.5)(x))
    data = {"encoder_inputs": ids(LENGTH, WORDS), "decoder_inputs": ids(LENGTH - 4, WORDS, 1)}
    data["encoder_inputs"][0, -5:] = 0
    data["decoder_inputs"][0, -2:] = 0
    return keras.Model({x.name: x for x in (encoder_inputs, decoder_inputs)}, x), data


def masked_language_model():
    """Devlin et al., "BERT", 2019, with positions of sines."""
    inputs = layers.Input((LENGTH,), dtype="int64")
    words = layers.Embedding(WORDS, WIDTH, name="word_embedding")(inputs)
    angle = np.arange(LENGTH)[:, None] / 10000 ** (2 * (np.arange(WIDTH) // 2) / WIDTH)
    waves = np.where(np.arange(WIDTH) % 2, np.cos(angle), np.sin(angle)).astype("float32")
    positions = layers.Embedding(LENGTH, WIDTH, weights=[waves])(ops.arange(start=0, stop=LENGTH, step=1))
    x = words + positions
    for _ in range(2):
        attended = layers.MultiHeadAttention(num_heads=2, key_dim=8)(query=x, key=x, value=x)
        x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(attended))
        ffn = keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(WIDTH)])
        x = layers.LayerNormalization(epsilon=1e-6)(x + layers.Dropout(0.1)(ffn(x)))
    return keras.Model(inputs, layers.Dense(WORDS, activation="softmax")(x)), ids(LENGTH, WORDS)


def text_extraction():
    """Where an answer starts and ends: two softmaxes over the places of a text."""
    names = ("input_ids", "token_type_ids", "attention_mask")
    tokens, types, shown = (layers.Input((LENGTH,), dtype="int32", name=name) for name in names)
    x = TokenAndPositionEmbedding(LENGTH, WORDS, WIDTH)(tokens) + layers.Embedding(2, WIDTH)(types)
    x = layers.LayerNormalization(epsilon=1e-12)(x)
    mask = ops.cast(ops.expand_dims(shown, 1), "bool")
    attended = layers.MultiHeadAttention(2, 8)(x, x, attention_mask=mask)
    x = layers.LayerNormalization(epsilon=1e-12)(x + attended)
    ends = [layers.Flatten()(layers.Dense(1, name=n, use_bias=False)(x)) for n in ("start", "end")]
    outputs = [layers.Activation(keras.activations.softmax)(y) for y in ends]
    data = {"input_ids": ids(LENGTH, WORDS), "token_type_ids": ids(LENGTH, 3, 1) - 1}
    data["attention_mask"] = (np.arange(LENGTH) < np.array([[LENGTH], [11]])).astype("int32")
    return keras.Model([tokens, types, shown], outputs), data


def sentence_similarity():
    """Features of two sentences, read by a recurrent layer and pooled in two ways."""
    sequence = keras.Input((LENGTH, WIDTH))
    x = layers.Bidirectional(layers.LSTM(8, return_sequences=True))(sequence)
    average, highest = layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)
    x = layers.Dropout(0.3)(layers.concatenate([average, highest]))
    return keras.Model(sequence, layers.Dense(3, activation="softmax")(x)), numbers(LENGTH, WIDTH)


class AdditiveAttention(layers.Layer):
    """Bahdanau et al., "Neural Machine Translation by Jointly Learning to Align and Translate", 2015."""

    def __init__(self, units):
        super().__init__()
        self.W1, self.W2, self.V = layers.Dense(units), layers.Dense(units), layers.Dense(1)

    def call(self, query, values):
        score = self.V(ops.tanh(self.W1(values) + self.W2(ops.expand_dims(query, 1))))
        weights = ops.softmax(score, axis=1)
        return ops.sum(weights * values, axis=1), weights


def recurrent_attention():
    inputs = keras.Input((LENGTH,), dtype="int32")
    x, state = layers.GRU(16, return_sequences=True, return_state=True)(
        layers.Embedding(WORDS, WIDTH)(inputs)
    )
    context, weights = AdditiveAttention(8)(state, x)
    x = layers.Dense(WORDS)(ops.concatenate([context, state], axis=-1))
    return keras.Model(inputs, [x, weights]), ids(LENGTH, WORDS)


MODELS = {
    "Mini GPT": mini_gpt,
    "Character seq2seq LSTM": character_seq2seq,
    "Adding numbers (LSTM)": adding_numbers,
    "Character LSTM": character_lstm,
    "Transformer translation": translation,
    "Masked language model": masked_language_model,
    "Text extraction (BERT-like)": text_extraction,
    "Sentence similarity": sentence_similarity,
    "GRU with additive attention": recurrent_attention,
}
