"""Rows for what `keras.layers` exports."""

import inspect

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from benchmarks.operations.row import IMAGE, SEQUENCE, VECTOR, VOLUME, Row, one, words

_SHAPES = {1: SEQUENCE, 2: IMAGE, 3: VOLUME}
_PICTURE = (8, 8, 3)
# No layer that stands in a model, or one around another program.
NOT_IN_MODELS = {
    "InputSpec": "says what a layer takes",
    "Layer": "the base of layers",
    "Wrapper": "the base of wrappers",
    "GRUCell": "one step of GRU, which has a row",
    "LSTMCell": "one step of LSTM, which has a row",
    "SimpleRNNCell": "one step of SimpleRNN, which has a row",
    "StackedRNNCells": "one step of RNN, which has a row",
    "FlaxLayer": "holds a program of Flax",
    "JaxLayer": "holds a program of JAX",
    "TFSMLayer": "holds a program of TensorFlow",
    "TorchModuleWrapper": "holds a program of PyTorch",
    "MaxNumBoundingBoxes": "pads boxes of a data set",
}


def _ranks(*names, **settings):
    """Returns the rows of layers that exist for one, two and three dimensions."""
    found = {}
    for rank, shape in _SHAPES.items():
        for name in names:
            cls = getattr(kl, name.format(rank), None)
            if cls is not None:
                found[name.format(rank)] = one(lambda cls=cls: cls(**settings), shape)
    return found


def _plain(names: str, shape, *arguments, **settings):
    """Returns the rows of layers, named in a string, that are made with the same arguments."""
    found = [name for name in names.split() if hasattr(kl, name)]
    return {name: one(lambda n=name: getattr(kl, n)(*arguments, **settings), shape) for name in found}


def _pair(name: str) -> Row:
    return Row(lambda a, b: getattr(kl, name)()([a, b]), (VECTOR, VECTOR))


_VECTORS = {
    "Dense": one(lambda: kl.Dense(4)),
    "EinsumDense": one(lambda: kl.EinsumDense("abc,cd->abd", (6, 5)), SEQUENCE),
    **_plain("Dropout GaussianNoise GaussianDropout AlphaDropout", VECTOR, 0.2),
    **_plain("ActivityRegularization Identity ReLU LeakyReLU PReLU ELU Softmax Flatten", VECTOR),
    **_plain("BatchNormalization LayerNormalization RMSNormalization UnitNormalization", VECTOR),
    "Activation": one(lambda: kl.Activation("tanh")),
    "Reshape": one(lambda: kl.Reshape((4, 2))),
    "RepeatVector": one(lambda: kl.RepeatVector(3)),
    "Permute": one(lambda: kl.Permute((2, 1)), SEQUENCE),
    "Softmax, two axes": one(lambda: kl.Softmax(axis=(1, 2)), IMAGE),
    "Normalization": one(lambda: kl.Normalization(mean=0.5, variance=2.0)),
    "Rescaling": one(lambda: kl.Rescaling(0.5, 0.25)),
    "Lambda": one(lambda: kl.Lambda(lambda x: ops.relu(x) + 1.0)),
    "InputLayer": Row(ops.relu, (VECTOR,), alone=True),
    "GroupNormalization": one(lambda: kl.GroupNormalization(2), IMAGE),
    "SpectralNormalization": one(lambda: kl.SpectralNormalization(kl.Dense(4))),
    "Pipeline": one(lambda: kl.Pipeline([kl.Rescaling(0.5), kl.Rescaling(2.0, 1.0)])),
    "Masking": Row(lambda x: kl.LSTM(3)(kl.Masking()(x)), (SEQUENCE,), alone=True),
    "TimeDistributed": one(lambda: kl.TimeDistributed(kl.Dense(4)), SEQUENCE),
    "Dot": Row(lambda a, b: kl.Dot((2, 2))([a, b]), (SEQUENCE, SEQUENCE)),
}
_SPATIAL = {
    **_ranks("MaxPooling{}D", "AveragePooling{}D", pool_size=2),
    **_ranks("UpSampling{}D", size=2),
    **_ranks("GlobalMaxPooling{}D", "GlobalAveragePooling{}D", "ZeroPadding{}D", "Cropping{}D"),
    **_ranks("Conv{}D", "Conv{}DTranspose", "SeparableConv{}D", filters=5, kernel_size=2),
    **_ranks("DepthwiseConv{}D", kernel_size=2),
    **_ranks("SpatialDropout{}D", rate=0.2),
    **_ranks("AdaptiveAveragePooling{}D", "AdaptiveMaxPooling{}D", output_size=2),
    "AdaptiveAveragePooling2D, windows of unequal size": one(lambda: kl.AdaptiveAveragePooling2D(4), IMAGE),
    "AdaptiveMaxPooling2D, windows of unequal size": one(lambda: kl.AdaptiveMaxPooling2D(4), IMAGE),
    "UpSampling2D, bilinear": one(lambda: kl.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    "UpSampling2D, bicubic": one(lambda: kl.UpSampling2D(2, interpolation="bicubic"), IMAGE),
    "Resizing": one(lambda: kl.Resizing(5, 7), IMAGE),
    "Resizing, nearest": one(lambda: kl.Resizing(5, 7, interpolation="nearest"), IMAGE),
    "Resizing, bicubic": one(lambda: kl.Resizing(5, 7, interpolation="bicubic"), IMAGE),
    "Resizing, lanczos3": one(lambda: kl.Resizing(5, 7, interpolation="lanczos3"), IMAGE),
    "Resizing, antialias": one(lambda: kl.Resizing(3, 4, antialias=True), IMAGE),
    "Resizing, crop_to_aspect_ratio": one(lambda: kl.Resizing(4, 2, crop_to_aspect_ratio=True), IMAGE),
    "Resizing, pad_to_aspect_ratio": one(lambda: kl.Resizing(8, 6, pad_to_aspect_ratio=True), IMAGE),
    "CenterCrop": one(lambda: kl.CenterCrop(4, 3), IMAGE),
    "CenterCrop, larger": one(lambda: kl.CenterCrop(8, 7), IMAGE),
    "RandomCrop": one(lambda: kl.RandomCrop(4, 3), IMAGE),
}
_RANDOM = {
    **_plain("RandomContrast RandomErasing RandomGrayscale RandomInvert RandomHue", _PICTURE, 0.2),
    **_plain("RandomBrightness RandomShear RandomZoom RandomRotation RandomSharpness", _PICTURE, 0.2),
    **_plain("RandomPosterization", _PICTURE, 4),
    **_plain(
        "RandomSaturation RandomColorDegeneration RandomPerspective RandomElasticTransform", _PICTURE, 0.2
    ),
    **_plain("RandomFlip RandomColorJitter RandomGaussianBlur RandAugment AugMix Solarization", _PICTURE),
    "RandomTranslation": one(lambda: kl.RandomTranslation(0.1, 0.1), _PICTURE),
    **_plain("MixUp CutMix", _PICTURE),
}
_MERGING = {
    **{n: _pair(n) for n in words("Add Subtract Multiply Average Maximum Minimum")},
    "Concatenate": _pair("Concatenate"),
}


def _cell_layer():
    return kl.RNN(kl.StackedRNNCells([kl.GRUCell(3), kl.LSTMCell(2)]))


_SEQUENCES = {
    **_plain("LSTM GRU SimpleRNN", SEQUENCE, 3),
    "RNN": one(lambda: kl.RNN(kl.LSTMCell(3)), SEQUENCE),
    "RNN, stacked cells": one(_cell_layer, SEQUENCE),
    "Bidirectional": one(lambda: kl.Bidirectional(kl.GRU(3, return_sequences=True)), SEQUENCE),
    "ConvLSTM1D": one(lambda: kl.ConvLSTM1D(3, 2), (3, *SEQUENCE)),
    "ConvLSTM2D": one(lambda: kl.ConvLSTM2D(3, 2, padding="same"), (3, *IMAGE)),
    "ConvLSTM3D": one(lambda: kl.ConvLSTM3D(3, 2), (2, *VOLUME)),
    "MultiHeadAttention": Row(lambda x: kl.MultiHeadAttention(2, 4)(x, x), (SEQUENCE,)),
    "MultiHeadAttention, scores returned": Row(
        lambda x: kl.MultiHeadAttention(2, 4)(x, x, return_attention_scores=True), (SEQUENCE,)
    ),
    "MultiHeadAttention, two axes": Row(
        lambda x: kl.MultiHeadAttention(2, 4, attention_axes=(1, 2))(x, x), ((3, 4, 8),)
    ),
    "MultiHeadAttention, an axis of images": Row(
        lambda x: kl.MultiHeadAttention(2, 4, attention_axes=(2,))(x, x), ((3, 4, 8),)
    ),
    "MultiHeadAttention, causal": Row(
        lambda x: kl.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True), (SEQUENCE,)
    ),
    "GroupQueryAttention": Row(lambda x: kl.GroupQueryAttention(4, 4, 2)(x, x), (SEQUENCE,)),
    "Attention": Row(lambda a, b: kl.Attention()([a, b]), (SEQUENCE, SEQUENCE)),
    "Attention, scores returned": Row(
        lambda a, b: kl.Attention()([a, b], return_attention_scores=True), (SEQUENCE, SEQUENCE)
    ),
    "Attention, causal": Row(lambda a, b: kl.Attention()([a, b], use_causal_mask=True), (SEQUENCE, SEQUENCE)),
    "Attention, scale": Row(lambda a, b: kl.Attention(use_scale=True)([a, b]), (SEQUENCE, SEQUENCE)),
    "AdditiveAttention": Row(lambda a, b: kl.AdditiveAttention()([a, b]), (SEQUENCE, SEQUENCE)),
    "Embedding": one(lambda: kl.Embedding(8, 4), (6,), dtype="int32"),
    "ReversibleEmbedding": one(lambda: _Reversed(), (6,), dtype="int32"),
}


class _Reversed:
    """An embedding, and the same backwards."""

    def __call__(self, x):
        layer = kl.ReversibleEmbedding(8, 4)
        return layer(layer(x), reverse=True)


_DATA = {
    "CategoryEncoding": one(lambda: kl.CategoryEncoding(8, "one_hot"), (1,), dtype="int32"),
    "CategoryEncoding, multi-hot": one(lambda: kl.CategoryEncoding(8, "multi_hot"), (6,), dtype="int32"),
    "Discretization": one(lambda: kl.Discretization([-0.5, 0.0, 1.0]), alone=True),
    "Hashing": one(lambda: kl.Hashing(4), (6,), dtype="int32"),
    "HashedCrossing": Row(lambda a, b: kl.HashedCrossing(4)((a, b)), ((1,), (1,)), "int32"),
    "IntegerLookup": one(lambda: kl.IntegerLookup(vocabulary=np.arange(8)), (6,), dtype="int32"),
    "StringLookup": one(lambda: kl.StringLookup(vocabulary=["a", "b"]), (6,), dtype="string"),
    "TextVectorization": one(lambda: kl.TextVectorization(vocabulary=["a", "b"]), (1,), dtype="string"),
    "MelSpectrogram": one(
        lambda: kl.MelSpectrogram(32, 16, 32, num_mel_bins=8, max_freq=4000, sampling_rate=8000), (64,)
    ),
    "STFTSpectrogram": one(lambda: kl.STFTSpectrogram("magnitude", 16, 8, 16), (64, 1)),
    "AutoContrast": one(lambda: kl.AutoContrast(value_range=(0, 1)), _PICTURE),
    "Equalization": one(lambda: kl.Equalization(value_range=(0, 1)), _PICTURE),
    "ContrastLimitedAdaptiveHistogramEqualization": one(
        lambda: kl.ContrastLimitedAdaptiveHistogramEqualization((0, 1), tile_grid_size=(2, 2)), _PICTURE
    ),
}


def exported() -> dict[str, list[str]]:
    """Returns the names that `keras.layers` exports, by the name of their class."""
    found: dict[str, list[str]] = {}
    for name, cls in inspect.getmembers(keras.layers, inspect.isclass):
        found.setdefault(cls.__name__ if hasattr(kl, cls.__name__) else name, []).append(name)
    return found


LAYERS = {
    f"layers.{name}": row
    for rows in (_VECTORS, _SPATIAL, _RANDOM, _MERGING, _SEQUENCES, _DATA)
    for name, row in rows.items()
    if hasattr(kl, name.split(",")[0])
}
