"""Files for Larq Compute Engine against their models, run by the golden form of its operators."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError, VerifyError
from kqat_runtime.running.binary import BinaryRuntime
from tests.export.binary import nets

# The most that each order takes: binary convolutions whose result stays signs need one LceQuantize, for the
# model's input; those padded with 0 have numbers as output, and orders that are no comparison two.
TURNS_BACK = ("average", "bn, swish", "bn, gelu, bn")


def mismatches(model, export, seed=1):
    x = nets.data(model, seed=seed)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    (found,) = BinaryRuntime(export.content).run([x])
    return int(np.sum(found != expected))  # sums of signs: whole numbers


@pytest.mark.parametrize("convolution", nets.CONVOLUTIONS)
@pytest.mark.parametrize("order", ["bn", "pool, bn"])
def test_convolutions_compute_the_same(order, convolution):
    model = nets.train(nets.between(order, convolution))
    export = kqat.export_lce(model)
    assert export.report.operators["LceBconv2d"] == 2
    assert mismatches(model, export) == 0


@pytest.mark.parametrize("order", nets.ORDERS)
def test_what_lies_between_computes_the_same_and_stays_binary(order):
    model = nets.train(nets.between(order, "valid"))
    export = kqat.export_lce(model)
    counts = export.report.operators
    assert counts["LceBconv2d"] == 2
    assert counts["LceQuantize"] == 1 or order in TURNS_BACK
    if order not in TURNS_BACK:
        assert set(counts) <= {"LceBconv2d", "LceQuantize", "LceBMaxPool2d", "PAD"}
    assert mismatches(model, export) == 0


@pytest.mark.parametrize("order", ["bn, pool", "pool, bn", "bn"])
@pytest.mark.parametrize("convolution", ["same", "one"])
def test_a_padded_reader_gets_no_flipped_signs_that_it_cannot_undo(order, convolution):
    model = nets.train(nets.between(order, "valid", convolution))
    assert mismatches(model, kqat.export_lce(model)) == 0


@pytest.mark.parametrize("net", nets.WHOLE, ids=lambda net: net.__name__)
def test_nets_compute_the_same(net):
    model = nets.train(net())
    assert mismatches(model, kqat.export_lce(model)) == 0


@pytest.mark.parametrize("order", ["bn", "pool, bn"])
def test_xcore_pools_numbers(order):
    model = nets.train(nets.between(order, "valid"))
    export = kqat.export_lce(model, target="xcore")
    assert "LceBMaxPool2d" not in export.report.operators
    assert mismatches(model, export) == 0


def test_verify_takes_the_file(tmp_path):
    model = nets.train(nets.flattened())
    kqat.export_lce(model, tmp_path / "x.tflite")
    report = kqat.verify(model, tmp_path / "x.tflite", nets.data(model))
    assert report.outputs[0].unequal == 0
    assert report.outputs[0].samples == 6


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: kqat.layers.QuantDepthwiseConv2D(3, **nets.signs()), "Conv1D, Conv2D and Dense"),
        (lambda: nets.conv(4, groups=2), "groups=2"),
    ],
)
def test_a_layer_without_a_binary_kernel_is_an_error(layer, reason, tmp_path):
    model = nets.chain(layer(), shape=(8, 8, 64))
    with pytest.raises(ExportError, match=reason):
        kqat.export_lce(model, tmp_path / "x.tflite")
    assert not list(tmp_path.iterdir())


def test_xcore_has_no_padding_of_zeros():
    with pytest.raises(ExportError, match="pad_values"):
        kqat.export_lce(nets.chain(nets.conv(4, padding="same")), target="xcore")


def test_options_are_checked():
    model = nets.chain(nets.conv(4))
    with pytest.raises(ValueError, match="target='x86'"):
        kqat.export_lce(model, target="x86")
    with pytest.raises(ValueError, match="io='int4'"):
        kqat.export_lce(model, io="int4")


def test_a_kernel_costs_a_bit():
    small, large = (
        len(kqat.export_lce(nets.chain(nets.conv(n), shape=(9, 9, 64))).content) for n in (64, 320)
    )
    # 256 more filters of 3x3x64 bits, and two float32 a filter for its numbers.
    padding = 64  # what lies around constants
    assert 0 <= large - small - 256 * (3 * 3 * 64 // 8 + 8) <= padding


def test_a_damaged_batch_is_refused():
    model = nets.chain(nets.conv(4))
    with pytest.raises(VerifyError):
        kqat.verify(model, kqat.export_lce(model), nets.data(nets.chain(nets.conv(4), shape=(3, 9, 5))))
