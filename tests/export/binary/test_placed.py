"""Signs taken by an activation or by a quantizer as a layer are as binary as those of `input_quantizer`."""

import keras
import numpy as np
import pytest

import kqat
from kqat.quantizers import RSign, SteSign
from kqat_runtime.running.binary import BinaryRuntime
from tests.export.binary import nets
from tests.export.binary.test_files import mismatches

L = keras.layers


def reader(filters, size=2, **kwargs):
    return nets.conv(filters, size, input_quantizer=None, **kwargs)


def head(units):
    return nets.dense(units, input_quantizer=None)


BETWEEN = {
    "activation": lambda: [nets.conv(33, activation="ste_sign")],
    "activation, pool": lambda: [nets.conv(33, activation="ste_sign"), L.MaxPooling2D()],
    "layer": lambda: [nets.conv(33), L.BatchNormalization(), SteSign()],
    "Activation": lambda: [nets.conv(33), L.BatchNormalization(), L.Activation(SteSign())],
    "layer, pool": lambda: [nets.conv(33), L.BatchNormalization(), SteSign(), L.MaxPooling2D()],
    "pool, layer": lambda: [nets.conv(33), L.MaxPooling2D(), L.BatchNormalization(), SteSign()],
    "padded": lambda: [nets.conv(33, padding="same", activation="ste_sign")],
    "twice": lambda: [nets.conv(33, activation="ste_sign"), SteSign(), L.Dropout(0.5)],
}


@pytest.mark.parametrize(
    ("between", "target"),
    [
        (name, target)
        for name in BETWEEN
        for target in ("arm", "xcore")
        if (name, target) != ("padded", "xcore")
    ],
)
def test_convolutions_behind_it_are_binary(between, target):
    model = nets.train(nets.chain(*BETWEEN[between](), reader(4), shape=(11, 10, 6)))
    export = kqat.export_lce(model, target=target)
    assert export.report.operators["LceBconv2d"] == 2
    assert mismatches(model, export) == 0


@pytest.mark.parametrize("between", BETWEEN)
def test_numbers_come_back_only_where_a_padding_makes_them(between):
    model = nets.train(nets.chain(*BETWEEN[between](), reader(4), shape=(11, 10, 6)))
    operators = kqat.export_lce(model).report.operators
    assert operators["LceQuantize"] == (2 if between == "padded" else 1)
    assert set(operators) <= {"LceQuantize", "LceBconv2d", "LceBMaxPool2d"}


def test_dense_layers_behind_it_are_binary():
    middle = [nets.conv(20, activation="ste_sign"), L.Flatten(), head(12), L.BatchNormalization(), SteSign()]
    model = nets.train(nets.chain(*middle, head(5)))
    export = kqat.export_lce(model)
    assert export.report.operators["LceBconv2d"] == 3
    assert mismatches(model, export) == 0


def test_the_first_layer_may_be_one_of_numbers():
    first = kqat.layers.QuantConv2D(8, 3, kernel_quantizer="ste_sign", activation="ste_sign", use_bias=False)
    model = nets.train(nets.chain(first, reader(4)))
    export = kqat.export_lce(model)
    assert export.report.operators["LceBconv2d"] == 1
    assert export.report.operators["CONV_2D"] == 1
    assert mismatches(model, export) == 0


@pytest.mark.parametrize("made", [SteSign, lambda: L.Activation(SteSign())], ids=["layer", "Activation"])
def test_signs_that_are_also_read_as_numbers(made):
    x = inputs = keras.Input((9, 9, 16))
    signs = made()(L.BatchNormalization()(nets.conv(16, padding="same")(x)))
    y = reader(16, 3, padding="same")(signs)
    model = nets.train(keras.Model(inputs, [L.Add()([signs, y]), signs]))
    export = kqat.export_lce(model)
    assert export.report.operators["LceBconv2d"] == 2
    x = nets.data(model)
    expected = [keras.ops.convert_to_numpy(value) for value in model(x, training=False)]
    found = BinaryRuntime(export.content).run([x])
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_zeros_around_signs_are_no_signs():
    """A border of zeros behind the sign multiplies as 0: no binary kernel has that."""
    model = nets.chain(nets.conv(8, activation="ste_sign"), L.ZeroPadding2D(1), reader(4))
    assert kqat.export_lce(nets.train(model)).report.operators["LceBconv2d"] == 1


def test_learned_thresholds_in_a_layer_are_a_comparison_of_numbers():
    middle = [L.BatchNormalization(), RSign(), L.MaxPooling2D()]
    model = nets.train(nets.chain(nets.conv(8), *middle, reader(4)))
    threshold = model.layers[2].threshold
    threshold.assign(np.linspace(-1, 1, 8).reshape(threshold.shape))
    export = kqat.export_lce(model)
    assert export.report.operators["LceBconv2d"] == 2
    assert mismatches(model, export) == 0
