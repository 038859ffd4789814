"""Networks that recommend, and those that read graphs."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids, numbers


class RecommenderNet(keras.Model):
    """He et al., "Neural Collaborative Filtering", 2017, as a product of two embeddings."""

    def __init__(self, num_users, num_movies, embedding_size, **kwargs):
        super().__init__(**kwargs)
        settings = {
            "embeddings_initializer": "he_normal",
            "embeddings_regularizer": keras.regularizers.l2(1e-6),
        }
        self.user_embedding = layers.Embedding(num_users, embedding_size, **settings)
        self.user_bias = layers.Embedding(num_users, 1)
        self.movie_embedding = layers.Embedding(num_movies, embedding_size, **settings)
        self.movie_bias = layers.Embedding(num_movies, 1)

    def call(self, inputs):
        user_vector, user_bias = self.user_embedding(inputs[:, 0]), self.user_bias(inputs[:, 0])
        movie_vector, movie_bias = self.movie_embedding(inputs[:, 1]), self.movie_bias(inputs[:, 1])
        dot_user_movie = ops.tensordot(user_vector, movie_vector, 2)
        return ops.nn.sigmoid(dot_user_movie + user_bias + movie_bias)


def collaborative_filtering():
    model = RecommenderNet(20, 30, 8)
    model(ids(2, 20))
    return model, ids(2, 20)


def matrix_factorization():
    user, item = (keras.Input((1,), dtype="int32", name=name) for name in ("user", "item"))
    vectors = [layers.Flatten()(layers.Embedding(20, 8)(x)) for x in (user, item)]
    joint = layers.Dense(16, activation="relu")(layers.Concatenate()(vectors))
    product = layers.Multiply()(vectors)
    x = layers.Dense(1, activation="sigmoid")(layers.concatenate([joint, product]))
    return keras.Model([user, item], [x, layers.Dot(axes=-1, normalize=True)(vectors)]), [
        ids(1, 20),
        ids(1, 20, 1),
    ]


class QREmbedding(layers.Layer):
    """Shi et al., "Compositional Embeddings Using Complementary Partitions", 2020."""

    def __init__(self, vocabulary, embedding_dim, num_buckets, name=None):
        super().__init__(name=name)
        self.num_buckets = num_buckets
        self.q_embeddings = layers.Embedding(num_buckets, embedding_dim)
        self.r_embeddings = layers.Embedding(num_buckets, embedding_dim)

    def call(self, inputs):
        quotient = self.q_embeddings(ops.floor_divide(inputs, self.num_buckets))
        return quotient * self.r_embeddings(ops.mod(inputs, self.num_buckets))


def compositional_embeddings():
    user, item = (keras.Input((), dtype="int32", name=name) for name in ("user_id", "movie_id"))
    found = layers.Dot(axes=1)([QREmbedding(60, 8, 8)(user), QREmbedding(60, 8, 8)(item)])
    prediction = keras.layers.Rescaling(5)(layers.Activation("sigmoid")(found))
    return keras.Model({"user_id": user, "movie_id": item}, prediction), {
        "user_id": ids(1, 60)[:, 0], "movie_id": ids(1, 60, 1)[:, 0],
    }  # fmt: skip


def behaviour_transformer():
    """Chen et al., "Behavior Sequence Transformer", 2019."""
    history = keras.Input((4,), dtype="int32", name="sequence_movie_ids")
    target = keras.Input((1,), dtype="int32", name="target_movie_id")
    ratings = keras.Input((4,), name="sequence_ratings")
    age = keras.Input((1,), dtype="int32", name="age_group")
    table = layers.Embedding(30, 8)
    positions = layers.Embedding(4, 8)(ops.arange(4))
    watched = layers.Multiply()([table(history) + positions, ops.expand_dims(ratings, -1)])
    x = layers.Concatenate(axis=1)([watched, table(target)])
    attended = layers.Dropout(0.1)(layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.1)(x, x))
    x1 = layers.LayerNormalization()(layers.Add()([x, attended]))
    x2 = layers.Dropout(0.1)(layers.Dense(8)(layers.LeakyReLU()(x1)))
    x = layers.Flatten()(layers.LayerNormalization()(layers.Add()([x1, x2])))
    x = layers.concatenate([x, layers.Reshape((4,))(layers.Embedding(7, 4)(age))])
    for units in (16, 8):
        x = layers.Dropout(0.1)(layers.LeakyReLU()(layers.BatchNormalization()(layers.Dense(units)(x))))
    data = {
        "sequence_movie_ids": ids(4, 30), "target_movie_id": ids(1, 30, 1), "age_group": ids(1, 7, 2),
        "sequence_ratings": np.abs(numbers(4)),
    }  # fmt: skip
    return keras.Model([history, target, ratings, age], layers.Dense(1)(x)), data


class MixtureOfExperts(layers.Layer):
    """Jacobs et al., "Adaptive Mixtures of Local Experts", 1991, with a gate for each task."""

    def __init__(self, experts, tasks, units):
        super().__init__()
        self.experts = [layers.Dense(units, activation="relu") for _ in range(experts)]
        self.gates = [layers.Dense(experts, activation="softmax") for _ in range(tasks)]

    def call(self, x):
        found = ops.stack([expert(x) for expert in self.experts], axis=1)
        return [ops.einsum("be,beu->bu", gate(x), found) for gate in self.gates]


def mixture_of_experts():
    """Ma et al., "Modeling Task Relationships with Multi-gate Mixture-of-Experts", 2018."""
    inputs = keras.Input((12,))
    tasks = MixtureOfExperts(3, 2, 8)(inputs)
    outputs = {
        f"task_{i}": layers.Dense(1, activation="sigmoid", name=f"task_{i}")(x) for i, x in enumerate(tasks)
    }
    return keras.Model(inputs, outputs), numbers(12)


class GraphAttention(layers.Layer):
    """Veličković et al., "Graph Attention Networks", 2018, over all pairs of nodes under a mask."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.linear, self.source, self.target = (
            layers.Dense(units, use_bias=False),
            layers.Dense(1),
            layers.Dense(1),
        )

    def call(self, inputs):
        states, adjacency = inputs
        states = self.linear(states)
        scores = self.source(states) + ops.transpose(self.target(states), (0, 2, 1))
        scores = ops.where(adjacency > 0, ops.leaky_relu(scores, 0.2), -1e9)
        return ops.relu(ops.matmul(ops.softmax(scores, axis=-1), states))


def graph_attention():
    nodes, edges = keras.Input((8, 6)), keras.Input((8, 8))
    x = GraphAttention(8)([layers.Dense(8, activation="relu")(nodes), edges])
    x = layers.GlobalAveragePooling1D()(GraphAttention(8)([x, edges]))
    drawn = (np.random.default_rng(0).uniform(size=(2, 8, 8)) < 0.4).astype("float32")
    return keras.Model([nodes, edges], layers.Dense(3)(x)), [
        numbers(8, 6),
        np.maximum(drawn, np.eye(8, dtype="float32")),
    ]


def wgan_graph():
    """Relational graph convolutions, as WGANs for molecules judge with them."""
    adjacency, features = keras.Input((3, 6, 6)), keras.Input((6, 5))
    x = features
    for _ in range(2):
        x = ops.matmul(adjacency, ops.expand_dims(x, 1))
        x = layers.Activation("relu")(ops.sum(layers.EinsumDense("bern,nm->berm", (None, 6, 8))(x), axis=1))
    x = layers.Dropout(0.2)(layers.Dense(16, activation="relu")(layers.GlobalAveragePooling1D()(x)))
    return keras.Model([adjacency, features], layers.Dense(1, dtype="float32")(x)), [
        np.round(np.abs(numbers(3, 6, 6)) / 2), numbers(6, 5),
    ]  # fmt: skip


MODELS = {
    "Collaborative filtering": collaborative_filtering,
    "Matrix factorization": matrix_factorization,
    "Compositional embeddings": compositional_embeddings,
    "Behaviour transformer (BST)": behaviour_transformer,
    "Mixture of experts": mixture_of_experts,
    "Graph attention": graph_attention,
    "WGAN critic for graphs": wgan_graph,
}
