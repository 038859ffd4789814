"""Parameters, bytes and multiplications of layers, against numbers worked out by hand or by brute force."""

import json
import math

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import TraceError
from kqat.transforms.macs import macs
from kqat.transforms.summary import FLOAT_BITS

L = keras.layers


def network():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            L.Conv2D(4, 3, use_bias=False, name="stem"),  # 6 x 6 x 4 of 27 products
            L.BatchNormalization(name="norm"),
            L.ReLU(name="relu"),
            L.Conv2D(8, 3, strides=2, padding="same", name="body"),  # 3 x 3 x 8 of 36
            L.ReLU(name="relu2"),
            L.Conv2D(5, 3, name="head"),  # 1 x 1 x 5 of 72
        ]
    )


STEM, BODY, HEAD = 6 * 6 * 4 * 27, 3 * 3 * 8 * 36, 5 * 72


def test_a_float_model():
    model = network()
    found = kqat.summary(model)
    assert found.totals.macs_by_bits == {(FLOAT_BITS, FLOAT_BITS): STEM + BODY + HEAD}
    assert found.totals.parameters == model.count_params()
    assert found.totals.bytes == found.totals.float32_bytes == 4 * model.count_params()
    assert found.totals.ratio == 1
    assert [row.name for row in found.rows][:3] == ["image", "stem", "norm"]
    assert found["stem"].macs == STEM
    assert (found["relu"].macs, found["norm"].macs) == (0, 0)
    assert (found["stem"].weight_bits, found["stem"].activation_bits) == (FLOAT_BITS, FLOAT_BITS)
    assert found["relu"].weight_bits is None


def test_a_quantized_model():
    model = network()
    found = kqat.summary(kqat.quantize(model, bits=4))
    # The first and the last layer's weights and inputs, and the model's output, stay at 8 bits.
    assert found.totals.macs_by_bits == {(8, 8): STEM + HEAD, (4, 4): BODY}
    assert found.totals.parameters == model.count_params()
    assert (found["image"].activation_bits, found["stem"].activation_bits) == (8, 4)
    assert (found["body"].activation_bits, found["head"].activation_bits) == (8, 8)
    assert [found[name].weight_bits for name in ("stem", "body", "head")] == [8, 4, 8]
    assert found["stem"].parameters == 3 * 3 * 3 * 4 + 4 * 4  # with its BatchNorm
    assert (found["stem"].weight_bytes, found["stem"].float_bytes) == (108, 16 * 4)
    assert (found["body"].weight_bytes, found["body"].float_bytes) == (3 * 3 * 4 * 8 / 2, 8 * 4)
    stored = 108 + 64 + 144 + 32 + 3 * 3 * 8 * 5 + 20
    assert found.totals.bytes == stored
    assert found.totals.ratio == stored / (4 * model.count_params())


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16])
def test_weights_count_at_their_width(bits):
    model = keras.Sequential([keras.Input((16,)), L.Dense(8, use_bias=False, name="only")])
    row = kqat.summary(kqat.quantize(model, bits=bits, boundary_bits=bits))["only"]
    assert (row.weight_bits, row.activation_bits, row.float_bytes) == (bits, bits, 0)
    assert row.weight_bytes == bits * 128 / 8
    # What the first layer reads is a number, for which one bit is too little.
    assert row.macs_by_bits == {(bits, max(bits, 2)): 128}


def test_a_grid_behind_max_pooling_is_that_of_the_layer_before():
    """The runtime computes the layer on that grid and then pools."""
    layers = [
        L.Conv2D(4, 3, name="first"),
        L.ReLU(),
        L.MaxPooling2D(name="pool"),
        L.Conv2D(2, 3, name="last"),
    ]
    found = kqat.summary(
        kqat.quantize(keras.Sequential([keras.Input((8, 8, 3)), *layers]), bits=4, boundary_bits=4)
    )
    assert (found["first"].activation_bits, found["pool"].activation_bits) == (4, 4)
    assert found["last"].macs_by_bits == {(4, 4): 36 * 2}


def test_partial_quantization():
    found = kqat.summary(kqat.quantize(network(), bits=8, exclude=["head"]))
    assert found.totals.macs_by_bits == {(8, 8): STEM + BODY, (FLOAT_BITS, FLOAT_BITS): HEAD}
    assert (found["head"].weight_bits, found["head"].weight_bytes) == (FLOAT_BITS, 0)
    assert found["head"].float_bytes == 4 * (72 * 5 + 5)


def test_a_shared_layer_counts_its_calls_but_its_weights_once():
    a, b = keras.Input((8, 3)), keras.Input((8, 3))
    convolve = L.Conv1D(4, 3, name="shared")
    model = keras.Model([a, b], L.Add(name="sum")([convolve(a), convolve(b)]))
    for candidate, width in ((model, FLOAT_BITS), (kqat.quantize(model), 8)):
        row = kqat.summary(candidate)["shared"]
        assert (row.calls, row.parameters, row.macs) == (2, 3 * 3 * 4 + 4, 2 * 6 * 4 * 9)
        assert row.macs_by_bits == {(width, width): 2 * 6 * 4 * 9}


def test_a_separable_layer_counts_the_same_before_and_after_quantization():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), L.SeparableConv2D(6, 3, depth_multiplier=2, padding="same", name="s")]
    )
    whole = 8 * 8 * (3 * 2 * 9 + 3 * 2 * 6)
    assert kqat.summary(model).totals.macs == whole
    found = kqat.summary(kqat.quantize(model, bits=4))
    assert found.totals.macs == whole
    assert found.totals.parameters == model.count_params()


def test_nested_models_have_paths():
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="deep")], name="block")
    x = keras.Input((4,))
    found = kqat.summary(keras.Model(x, L.Dense(2, name="top")(inner(x))))
    assert found["block/deep"].macs == 12
    assert found.totals.macs == 18


def test_subclassed_models_are_traced():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3, name="dense")

        def call(self, x):
            return self.dense(x) * 2.0

    net = Net()
    with pytest.raises(TraceError, match="no weights yet"):
        kqat.summary(net)
    net(np.zeros((1, 4), np.float32))
    found = kqat.summary(net)
    assert found["dense"].macs == 12
    assert "ops.Multiply" in [row.type for row in found.rows]


def test_layers_quantized_by_hand():
    model = keras.Sequential(
        [
            keras.Input((8,)),
            kqat.layers.FakeQuant(min=-1, max=1, bits=4, name="grid"),
            kqat.layers.QuantDense(3, kernel_quantizer="minmax", bits=2, name="hand"),
        ]
    )
    found = kqat.summary(model)
    assert found["hand"].macs_by_bits == {(2, 4): 24}
    assert (found["hand"].parameters, found["hand"].weight_bytes, found["hand"].float_bytes) == (27, 6, 12)
    both = kqat.layers.QuantDense(3, kernel_quantizer="minmax", input_quantizer="ema", bits=8, name="hand")
    row = kqat.summary(keras.Sequential([keras.Input((8,)), both]))["hand"]
    assert (row.macs_by_bits, row.parameters) == ({(8, 8): 24}, 27)


def test_products_that_are_not_known_are_named():
    class Own(L.Layer):
        def build(self, shape):
            self.mix = self.add_weight(shape=(shape[-1], 3), name="mix", regularizer="l2")  # keeps it whole

        def call(self, x):
            return keras.ops.matmul(x, self.mix)

    model = keras.Sequential([keras.Input((4,)), Own(name="own"), L.Dense(2, name="dense")])
    found = kqat.summary(model)
    assert found["own"].macs is None
    assert found.totals.unknown_macs == ("own",)
    assert found.totals.macs == 6
    assert "MACs unknown: own" in str(found)


def test_dynamic_sizes_are_unknown():
    model = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3, name="c")])
    assert kqat.summary(model)["c"].macs is None


def test_printing_and_json():
    found = kqat.summary(kqat.quantize(network(), bits=4))
    text = str(found)
    for part in ("stem", "Conv2D", "4 x 4: 2,592", "of float32", f"{STEM + BODY + HEAD:,}"):
        assert part in text
    data = json.loads(json.dumps(found.to_dict()))
    assert data["totals"]["macs_by_bits"] == {"4x4": BODY, "8x8": STEM + HEAD}
    assert data["totals"]["ratio"] == found.totals.ratio
    with pytest.raises(KeyError):
        found["nowhere"]


# Multiply-accumulates of each layer type.


def brute_force(layer, shape):
    """Counts the products: of ones, each output value is the number of products in it."""
    layer.build((1, *shape))
    for weight in layer.weights:
        weight.assign(np.ones(weight.shape) if "kernel" in weight.name else np.zeros(weight.shape))
    return round(float(keras.ops.convert_to_numpy(layer(np.ones((1, *shape), np.float32))).sum()))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: L.Dense(5), (7,)),
        (lambda: L.Dense(5), (3, 7)),
        (lambda: L.EinsumDense("abc,cd->abd", output_shape=(None, 5)), (3, 7)),
        (lambda: L.EinsumDense("...x,xy->...y", output_shape=5), (3, 2, 7)),
        (lambda: L.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3)), (3, 7)),
        (lambda: L.Conv1D(5, 3, strides=2), (9, 4)),
        (lambda: L.Conv2D(6, (3, 2), groups=2), (6, 7, 4)),
        (lambda: L.Conv2D(4, 3, dilation_rate=2), (9, 9, 2)),
        (lambda: L.Conv3D(2, 2), (4, 5, 3, 2)),
        (lambda: L.DepthwiseConv1D(3, depth_multiplier=2), (9, 4)),
        (lambda: L.DepthwiseConv2D(3, depth_multiplier=2), (6, 6, 3)),
        (lambda: L.Conv1DTranspose(3, 2, strides=2), (5, 4)),
        (lambda: L.Conv2DTranspose(3, 2, strides=2), (4, 5, 2)),
        (lambda: L.Conv3DTranspose(2, 2, strides=2), (2, 3, 2, 2)),
    ],
)
def test_macs_are_the_number_of_products(make, shape):
    layer = make()
    products = brute_force(layer, shape)
    output = layer.compute_output_shape((1, *shape))
    assert macs(layer, [(None, *shape)], (None, *output[1:])) == products > 0


def test_macs_of_separable_convolutions():
    for layer, shape, window in (
        (L.SeparableConv1D(5, 3), (9, 4), 3),
        (L.SeparableConv2D(5, 3), (6, 6, 4), 9),
    ):
        layer.build((1, *shape))
        output = layer.compute_output_shape((1, *shape))
        places = math.prod(output[1:-1])
        assert macs(layer, [(None, *shape)], output) == places * (4 * window + 4 * 5)


def test_macs_of_products_of_activations():
    a, b = keras.Input((3, 4)), keras.Input((4, 5))
    model = keras.Model([a, b], keras.ops.matmul(a, b))
    (row,) = [row for row in kqat.summary(model).rows if row.type == "ops.Matmul"]
    assert row.macs == 3 * 4 * 5
    assert macs(L.Dot(axes=(2, 1)), [(None, 3, 4), (None, 4, 5)], (None, 3, 5)) == 60
    assert macs(L.Dot(axes=-1), [(None, 3, 4), (None, 5, 4)], (None, 3, 5)) == 60


@pytest.mark.parametrize(
    ("layer", "gates"),
    [
        (L.LSTM(3, name="r"), 4),
        (L.GRU(3, name="r"), 3),
        (L.SimpleRNN(3, return_sequences=True, name="r"), 1),
        (L.Bidirectional(L.LSTM(3), name="r"), 8),
    ],
)
def test_recurrent_layers_multiply_in_every_step(layer, gates):
    model = keras.Sequential([keras.Input((5, 4)), layer])
    assert kqat.summary(model)["r"].macs == 5 * gates * (4 * 3 + 3 * 3)
    assert kqat.summary(kqat.quantize(model))["r"].macs == 5 * gates * (4 * 3 + 3 * 3)
    assert kqat.summary(keras.Sequential([keras.Input((None, 4)), layer]))["r"].macs is None


@pytest.mark.parametrize(
    "layer",
    [
        L.MultiHeadAttention(2, 3, value_dim=5, output_shape=6, name="a"),
        L.GroupQueryAttention(4, 4, 2, name="a"),
    ],
    ids=["MultiHeadAttention", "GroupQueryAttention"],
)
def test_attention_counts_what_its_parts_count(layer):
    query, value = keras.Input((5, 8)), keras.Input((7, 8))
    model = keras.Model([query, value], layer(query, value))
    parts = kqat.summary(kqat.quantize(model)).totals
    assert kqat.summary(model)["a"].macs == parts.macs > 0
    assert not parts.unknown_macs


def test_elementwise_layers_count_nothing():
    embedding = L.Embedding(10, 4)
    embedding.build((None, 3))
    for layer in (L.ReLU(), L.MaxPooling2D(), embedding, L.Add(), L.Flatten()):
        assert macs(layer, [(None, 4, 4, 2)], (None, 4, 4, 2)) == 0


def test_binary_multiplications_are_counted():
    signs = {"input_quantizer": "ste_sign", "use_bias": False}
    layers = [
        keras.Input((8, 8, 2)),
        kqat.layers.QuantConv2D(4, 3, kernel_quantizer="ste_sign", use_bias=False, name="stem"),
        kqat.layers.QuantConv2D(4, 3, kernel_quantizer="ste_sign", name="conv", **signs),
        kqat.layers.QuantSeparableConv2D(
            3, 2, depthwise_quantizer="ste_sign", pointwise_quantizer="ste_sign", name="separable", **signs
        ),
        L.Flatten(),
        kqat.layers.QuantDense(5, kernel_quantizer="ste_tern", name="ternary", **signs),
    ]
    found = kqat.summary(keras.Sequential(layers))
    conv, separable = 16 * 4 * 36, 9 * (4 * 4 + 4 * 3)
    assert found.totals.macs_by_bits == {(1, 1): conv + separable, (1, 32): 36 * 4 * 18, (2, 1): 27 * 5}
    assert found.totals.binary_macs == conv + separable
    assert f"binary MACs: {conv + separable:,}, " in str(found)
    assert found["separable"].weight_bytes == (4 * 4 + 4 * 3) / 8
    assert found["ternary"].weight_bytes == 27 * 5 * 2 / 8
    assert found.totals.parameters == 3 * 3 * 2 * 4 + 3 * 3 * 4 * 4 + 28 + 135
    assert "binary" not in str(kqat.summary(keras.Sequential([keras.Input((4,)), L.Dense(2)])))
