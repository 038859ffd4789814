"""Networks for tables: numbers and categories side by side."""

import keras
import numpy as np
from keras import layers, ops

from benchmarks.published.data import ids, numbers

NUMERIC, CATEGORIES = ("age", "hours", "gain"), {"work": 6, "education": 9, "country": 12}


def _inputs():
    numeric = {name: layers.Input(name=name, shape=(), dtype="float32") for name in NUMERIC}
    return numeric | {name: layers.Input(name=name, shape=(), dtype="int32") for name in CATEGORIES}


def _data():
    columns = {name: numbers(seed=i).reshape(2) for i, name in enumerate(NUMERIC)}
    return columns | {name: ids(1, size, i)[:, 0] for i, (name, size) in enumerate(CATEGORIES.items())}


def _encoded(inputs, use_embedding=False, size=4):
    found = []
    for name, x in inputs.items():
        if name not in CATEGORIES:
            found.append(ops.expand_dims(x, -1))
        elif use_embedding:
            found.append(layers.Embedding(input_dim=CATEGORIES[name], output_dim=size)(x))
        else:
            found.append(
                layers.CategoryEncoding(CATEGORIES[name], output_mode="one_hot")(ops.expand_dims(x, -1))
            )
    return found


def _dense_block(x):
    for units in (16, 16):
        x = layers.Dropout(0.1)(layers.ReLU()(layers.BatchNormalization()(layers.Dense(units)(x))))
    return x


def wide_and_deep():
    """Cheng et al., "Wide & Deep Learning for Recommender Systems", 2016."""
    inputs = _inputs()
    wide = layers.BatchNormalization()(layers.concatenate(_encoded(inputs)))
    deep = _dense_block(layers.concatenate(_encoded(inputs, use_embedding=True)))
    merged = layers.concatenate([wide, deep])
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=7, activation="softmax")(merged)), _data()


def deep_and_cross():
    """Wang et al., "Deep & Cross Network for Ad Click Predictions", 2017."""
    inputs = _inputs()
    x0 = layers.concatenate(_encoded(inputs, use_embedding=True))
    cross = x0
    for _ in range(2):
        units = cross.shape[-1]
        cross = x0 * layers.Dense(units)(cross) + cross
    merged = layers.concatenate([layers.BatchNormalization()(cross), _dense_block(x0)])
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=7, activation="softmax")(merged)), _data()


def tab_transformer():
    """Huang et al., "TabTransformer", 2020: attention over the columns with categories."""
    inputs = _inputs()
    encoded = [layers.Embedding(size, 8)(inputs[name]) for name, size in CATEGORIES.items()]
    x = ops.stack(encoded, axis=1)
    x = x + layers.Embedding(3, 8)(ops.arange(start=0, stop=3, step=1))
    for _ in range(2):
        attended = layers.MultiHeadAttention(num_heads=2, key_dim=8, dropout=0.2)(x, x)
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([attended, x]))
        forward = layers.Dense(8)(layers.Dropout(0.2)(layers.Dense(8, activation=keras.activations.gelu)(x)))
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([forward, x]))
    numeric = layers.concatenate([ops.expand_dims(inputs[name], -1) for name in NUMERIC])
    x = layers.concatenate([layers.Flatten()(x), layers.LayerNormalization(epsilon=1e-6)(numeric)])
    for units in (16, 8):
        x = layers.Dropout(0.2)(
            layers.Dense(units, activation=keras.activations.selu)(layers.BatchNormalization()(x))
        )
    return keras.Model(inputs=inputs, outputs=layers.Dense(1, activation="sigmoid")(x)), _data()


class GatedLinearUnit(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.linear, self.sigmoid = layers.Dense(units), layers.Dense(units, activation="sigmoid")

    def call(self, inputs):
        return self.linear(inputs) * self.sigmoid(inputs)


class GatedResidualNetwork(layers.Layer):
    """Lim et al., "Temporal Fusion Transformers", 2021."""

    def __init__(self, units, dropout_rate):
        super().__init__()
        self.units = units
        self.elu_dense, self.linear_dense = layers.Dense(units, activation="elu"), layers.Dense(units)
        self.dropout, self.gated_linear_unit = layers.Dropout(dropout_rate), GatedLinearUnit(units)
        self.layer_norm, self.project = layers.LayerNormalization(), layers.Dense(units)

    def call(self, inputs):
        x = self.dropout(self.linear_dense(self.elu_dense(inputs)))
        if inputs.shape[-1] != self.units:
            inputs = self.project(inputs)
        return self.layer_norm(inputs + self.gated_linear_unit(x))


class VariableSelection(layers.Layer):
    def __init__(self, num_features, units, dropout_rate):
        super().__init__()
        self.grns = [GatedResidualNetwork(units, dropout_rate) for _ in range(num_features)]
        self.grn_concat = GatedResidualNetwork(units, dropout_rate)
        self.softmax = layers.Dense(units=num_features, activation="softmax")

    def call(self, inputs):
        v = self.softmax(self.grn_concat(layers.concatenate(inputs)))
        v = ops.expand_dims(v, axis=-1)
        x = ops.stack([grn(column) for column, grn in zip(inputs, self.grns, strict=True)], axis=1)
        return ops.squeeze(ops.matmul(ops.transpose(v, axes=[0, 2, 1]), x), axis=1)


def variable_selection():
    inputs = _inputs()
    encoded = []
    for name, x in inputs.items():
        known = name in CATEGORIES
        encoded.append(
            layers.Embedding(CATEGORIES[name], 8)(x) if known else layers.Dense(8)(ops.expand_dims(x, -1))
        )
    features = VariableSelection(6, 8, 0.15)(encoded)
    return keras.Model(inputs=inputs, outputs=layers.Dense(units=1, activation="sigmoid")(features)), _data()


class NeuralDecisionTree(keras.Model):
    """Kontschieder et al., "Deep Neural Decision Forests", 2015: soft decisions down to the leaves."""

    def __init__(self, depth, num_features, used_features_rate, num_classes, seed=0):
        super().__init__()
        self.depth, self.num_leaves, self.num_classes = depth, 2**depth, num_classes
        used = int(num_features * used_features_rate)
        chosen = np.random.default_rng(seed).choice(num_features, used, replace=False)
        self.used_features_mask = ops.convert_to_tensor(np.eye(num_features)[chosen], dtype="float32")
        self.pi = self.add_weight(
            initializer="random_normal", shape=[self.num_leaves, num_classes], dtype="float32", trainable=True
        )
        self.decision_fn = layers.Dense(units=self.num_leaves, activation="sigmoid", name="decision")

    def call(self, features):
        batch_size = ops.shape(features)[0]
        features = ops.matmul(features, ops.transpose(self.used_features_mask))
        decisions = ops.expand_dims(self.decision_fn(features), axis=2)
        decisions = layers.concatenate([decisions, 1 - decisions], axis=2)
        mu, begin = ops.ones([batch_size, 1, 1]), 1
        for level in range(self.depth):
            mu = ops.reshape(mu, [batch_size, -1, 1])
            mu = ops.tile(mu, (1, 1, 2))
            mu = mu * decisions[:, begin : begin + 2**level, :]
            begin += 2**level
        mu = ops.reshape(mu, [batch_size, self.num_leaves])
        return ops.matmul(mu, ops.softmax(self.pi))


class NeuralDecisionForest(keras.Model):
    def __init__(self, num_trees, depth, num_features, used_features_rate, num_classes):
        super().__init__()
        self.ensemble = [
            NeuralDecisionTree(depth, num_features, used_features_rate, num_classes, i)
            for i in range(num_trees)
        ]
        self.num_classes = num_classes

    def call(self, inputs):
        batch_size = ops.shape(inputs)[0]
        outputs = ops.zeros([batch_size, self.num_classes])
        for tree in self.ensemble:
            outputs += tree(inputs)
        return outputs / len(self.ensemble)


def decision_forest():
    inputs = _inputs()
    x = layers.BatchNormalization()(layers.concatenate(_encoded(inputs, use_embedding=True)))
    return keras.Model(inputs=inputs, outputs=NeuralDecisionForest(2, 3, x.shape[1], 0.5, 2)(x)), _data()


def credit_fraud():
    sizes = [layers.Dense(32, activation="relu"), layers.Dropout(0.3)] * 1
    model = keras.Sequential([keras.Input((20,)), layers.Normalization(mean=0.5, variance=2.0)])
    for layer in [*sizes, layers.Dense(32, activation="relu"), layers.Dense(1, activation="sigmoid")]:
        model.add(layer)
    return model, numbers(20)


MODELS = {
    "Wide & deep": wide_and_deep,
    "Deep & cross": deep_and_cross,
    "TabTransformer": tab_transformer,
    "Variable selection": variable_selection,
    "Neural decision forest": decision_forest,
    "Fraud detection": credit_fraud,
}
