"""Every layer of `keras.layers` that can stand in a model: quantized, exported, bit-equal."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from kqat.lowering.augmentation import AUGMENTATIONS

VECTOR, SEQUENCE, IMAGE, VOLUME = (8,), (6, 8), (6, 6, 4), (4, 4, 4, 3)


def spatial(rank):
    """The layers that exist for one, two and three dimensions."""
    for name in ("MaxPooling", "AveragePooling", "UpSampling"):
        yield getattr(kl, f"{name}{rank}D")(2)
    for name in ("GlobalMaxPooling", "GlobalAveragePooling", "ZeroPadding", "Cropping"):
        yield getattr(kl, f"{name}{rank}D")()
    for name in ("Conv", "ConvTranspose"):
        kind = f"Conv{rank}DTranspose" if name == "ConvTranspose" else f"Conv{rank}D"
        yield getattr(kl, kind)(5, 2)
    for name in ("Average", "Max"):
        if hasattr(kl, f"Adaptive{name}Pooling{rank}D"):
            yield getattr(kl, f"Adaptive{name}Pooling{rank}D")(2)
    yield getattr(kl, f"SpatialDropout{rank}D")(0.2)
    if rank < 3:
        yield getattr(kl, f"SeparableConv{rank}D")(5, 2)
        yield getattr(kl, f"DepthwiseConv{rank}D")(2)


GALLERIES = {
    "vectors": (
        VECTOR,
        lambda: [
            kl.Dense(4),
            *(cls(0.2) for cls in (kl.Dropout, kl.GaussianNoise, kl.GaussianDropout, kl.AlphaDropout)),
            *(kl.ActivityRegularization(), kl.Identity(), kl.Activation("tanh"), kl.ReLU(), kl.LeakyReLU()),
            *(kl.PReLU(), kl.ELU(), kl.Softmax(), kl.Reshape((4, 2)), kl.RepeatVector(3), kl.Flatten()),
            *(kl.BatchNormalization(), kl.LayerNormalization(), kl.RMSNormalization()),
            *(kl.UnitNormalization(), kl.Normalization(mean=0.5, variance=2.0), kl.Rescaling(0.5, 0.25)),
        ],
    ),
    "sequences": (SEQUENCE, lambda: [*spatial(1), kl.Permute((2, 1)), kl.EinsumDense("abc,cd->abd", (6, 5))]),
    "images": (
        IMAGE,
        lambda: [
            *spatial(2),
            kl.GroupNormalization(2),
            kl.Resizing(5, 7),
            kl.Resizing(4, 7, interpolation="bicubic"),
            kl.CenterCrop(4, 3),
            kl.RandomFlip(),
            kl.RandomZoom(0.2),
        ],
    ),
    "volumes": (VOLUME, lambda: list(spatial(3))),
}
PAIRS = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
# Tested in files of their own, as far as they have an exact form.
ELSEWHERE = """
    AdditiveAttention Attention Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D Dot Embedding GRU GRUCell
    GroupQueryAttention GroupedQueryAttention LSTM LSTMCell Lambda Layer Masking MultiHeadAttention RNN
    ReversibleEmbedding SimpleRNN SimpleRNNCell StackedRNNCells TimeDistributed Wrapper
"""
# No exact form: what is computed from data or by other programs.
WITHOUT = """
    AutoContrast CategoryEncoding
    ContrastLimitedAdaptiveHistogramEqualization Discretization Equalization FlaxLayer HashedCrossing Hashing
    IntegerLookup JaxLayer MaxNumBoundingBoxes MelSpectrogram Pipeline RandomCrop
    STFTSpectrogram SpectralNormalization StringLookup TFSMLayer TextVectorization TorchModuleWrapper
    InputLayer InputSpec
"""


def gallery(shape, layers):
    """A model with a branch for each layer: a Dense layer before it and another behind it."""
    inputs = keras.Input(shape)
    outputs = []
    for number, layer in enumerate(layers):
        y = layer(kl.Dense(shape[-1], name=f"before_{number}")(inputs))
        y = kl.Flatten(name=f"flat_{number}")(y) if len(y.shape) > 2 else y
        outputs.append(kl.Dense(3, name=f"behind_{number}")(y))
    return keras.Model(inputs, outputs)


def assert_bit_equal(model, bits, path):
    """Demands that all of the model is quantized, and that its file computes what it evaluates."""
    plan = kqat.plan(model, bits)
    assert not plan.float_layers
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(16, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    quantized = kqat.quantize(model, bits)
    kqat.calibrate(quantized, x if len(x) > 1 else x[0])
    kqat.export_tflite(quantized, path, fallback="error")
    report = kqat.verify(quantized, path, x if len(x) > 1 else x[0])
    assert report.exact, str(report)


@pytest.mark.parametrize(("case", "bits"), [*((case, 8) for case in GALLERIES), ("volumes", 4)])
def test_layers_of_one_tensor(case, bits, tmp_path):
    shape, make = GALLERIES[case]
    assert_bit_equal(gallery(shape, make()), bits, tmp_path / "model.tflite")


def test_layers_of_two_tensors(tmp_path):
    inputs = keras.Input(VECTOR)
    pair = [kl.Dense(8, name="left")(inputs), kl.Dense(8, name="right")(inputs)]
    outputs = [kl.Dense(3)(getattr(kl, name)()(pair)) for name in PAIRS]
    assert_bit_equal(keras.Model(inputs, outputs), 8, tmp_path / "model.tflite")


def test_every_layer_of_keras_is_accounted_for():
    found = {cls.__name__ for _, cls in inspect.getmembers(kl, inspect.isclass)}
    shown = {type(layer).__name__ for _, make in GALLERIES.values() for layer in make()}
    shown |= {*PAIRS, *(cls.__name__ for cls in AUGMENTATIONS)}
    assert not shown & {*ELSEWHERE.split(), *WITHOUT.split()}
    assert sorted(found - shown - {*ELSEWHERE.split(), *WITHOUT.split()}) == []
