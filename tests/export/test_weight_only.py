"""Weight-only files against Keras models with rounded weights."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError
from kqat.layers import QuantDense
from kqat.layers.quantized import Quantized
from kqat_runtime.running.runtime import Runtime
from tests.export.compressed_nets import (
    IMAGES,
    RNG,
    constant_types,
    every_kernel,
    predict,
    with_rounded_weights,
)

# Both sides sum the same rounded weights in float32, BatchNorm folded on one of them only: the results
# differ by the order of sums of up to 64 terms, a few units in the last place of a probability.
FLOAT_ROUNDING = 2e-6


@pytest.fixture(scope="module")
def net():
    return every_kernel()


def run(export, *arrays):
    return Runtime(export.content).run(arrays)[0]


@pytest.mark.parametrize("bits", [8, 6, 4, 3, 2, 1])
def test_the_file_computes_the_model_with_rounded_weights(net, bits):
    export = kqat.export_weight_only(net, bits=bits)
    ours = predict(with_rounded_weights(net, bits))
    np.testing.assert_allclose(run(export, IMAGES), ours, atol=FLOAT_ROUNDING, rtol=0)
    # The rounding itself is far above the tolerance: a file of float weights would not pass.
    assert np.abs(ours - predict(net)).max() > 20 * FLOAT_ROUNDING


@pytest.mark.parametrize(
    ("bits", "stored"), [(8, "INT8"), (5, "INT8"), (4, "INT4"), (3, "INT4"), (2, "INT2")]
)
def test_weights_are_stored_in_the_smallest_type(net, bits, stored):
    types = constant_types(kqat.export_weight_only(net, bits=bits).content)
    assert types["stem/weights/integers"] == stored
    assert types["hidden/weights/integers"] == stored
    assert types["up/weights/integers"] == "INT8"  # needs the delegate, which dequantizes 8 bits only


@pytest.mark.parametrize(("bits", "part"), [(8, 4), (4, 8), (3, 8), (2, 16), (1, 16)])
def test_a_file_of_weights_shrinks_with_their_width(bits, part):
    model = keras.Sequential([keras.Input((256,)), keras.layers.Dense(512), keras.layers.Dense(256)])
    weights = 4 * (256 * 512 + 512 * 256) // part
    size = len(kqat.export_weight_only(model, bits=bits).content)
    # The rest: 768 channels with a bias (4 bytes), a scale (4) and a zero point (8), and the graph.
    assert weights + 16 * 768 < size < weights + 16 * 768 + 4096


def test_eight_bits_run_whole_on_the_delegate(net):
    with Runtime(kqat.export_weight_only(net).content) as runtime:
        assert runtime.delegation.whole


@pytest.mark.parametrize("bits", [8, 3, (1, 8)], ids=str)
def test_a_quantized_model_keeps_its_trained_grids(net, bits):
    q = kqat.calibrate(kqat.quantize(net, bits=bits), IMAGES, verbose=0)
    export = kqat.export_weight_only(q, bits=8)
    plain = kqat.strip_fake_quant(q)
    for layer in q.layers:
        if isinstance(layer, Quantized) and layer.weight_quantizers:
            ours = plain.get_layer(layer.origin["layer"]["config"]["name"] if layer.origin else layer.name)
            ours.kernel.assign(layer.weight_quantizers["kernel"](layer.operation.kernel))
            mean, variance = [keras.ops.copy(v) for v in layer.drift_variables] + [None][
                len(layer.drift_variables) - 1 :
            ]
            if layer.batchnorm is None:
                ours.bias.assign(ours.bias - mean)
            else:
                norm = plain.get_layer(layer.batchnorm.name)
                norm.moving_mean.assign(norm.moving_mean + mean)
                norm.moving_variance.assign(norm.moving_variance + variance)
    np.testing.assert_allclose(run(export, IMAGES), predict(plain), atol=FLOAT_ROUNDING, rtol=0)
    widths = {line.name: line.weight_bits for line in export.report.layers}
    inner = bits if isinstance(bits, int) else bits[0]
    assert widths["depthwise"] == inner
    assert any("activation quantizers left out" in note for note in export.report.notes)


def test_a_manual_layer_keeps_its_grid():
    layer = QuantDense(4, kernel_quantizer="lsq", input_quantizer="ema", bits=3, activation="relu")
    model = keras.Sequential([keras.Input((6,)), layer])
    x = RNG.normal(size=(7, 6)).astype("float32")
    kernel = keras.ops.convert_to_numpy(layer.kernel_quantizer(layer.kernel))
    export = kqat.export_weight_only(model)
    np.testing.assert_allclose(run(export, x), np.maximum(x @ kernel, 0), atol=FLOAT_ROUNDING, rtol=0)
    assert export.report.layers[0].weight_bits == 3


def test_separable_and_one_dimensional_convolutions():
    x = inputs = keras.Input((12, 3))
    x = keras.layers.SeparableConv1D(6, 3, activation="tanh", name="separable")(x)
    x = keras.layers.Conv1D(4, 3, padding="causal", name="causal")(x)
    model = keras.Model(inputs, x)
    data = RNG.normal(size=(3, 12, 3)).astype("float32")
    export = kqat.export_weight_only(model, bits=8)
    assert [line.name for line in export.report.layers] == ["separable_depthwise", "separable", "causal"]
    # 8 bits: each of three layers adds a relative rounding of at most 1/254 to sums of order 1.
    np.testing.assert_allclose(run(export, data), predict(model, data), atol=3e-2)


def test_the_report_has_a_line_for_each_layer(net):
    report = kqat.export_weight_only(net, bits=4).report
    assert [(line.name, line.kind, line.weight_bits) for line in report.layers] == [
        ("stem", "Conv2D", 4),
        ("depthwise", "DepthwiseConv2D", 4),
        ("up", "Conv2DTranspose", 4),
        ("hidden", "Dense", 4),
        ("head", "Dense", 4),
    ]
    assert "stem (Conv2D): 216 weights of 4 bits, float output" in str(report)
    assert "stem: 4-bit weights, dequantized for a float kernel, not accelerated" in report.notes
    assert any(note.startswith("up: 8-bit weights") and "one sample" in note for note in report.notes)


@pytest.mark.parametrize("export", [kqat.export_weight_only, kqat.export_dynamic])
def test_bits_that_no_file_has(net, export):
    with pytest.raises(ValueError, match=r"bits=9. Use 1 to 8"):
        export(net, bits=9)
    with pytest.raises(ValueError, match=r"bits=0"):
        export(net, bits=0)
    with pytest.raises(TypeError, match=r"bits=4.0"):
        export(net, bits=4.0)


@pytest.mark.parametrize("export", [kqat.export_weight_only, kqat.export_dynamic])
def test_a_layer_without_a_kernel_is_named(export, tmp_path):
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.LSTM(2, name="memory")])
    with pytest.raises(ExportError, match=r"memory \(LSTM\)"):
        export(model, tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())


def test_the_file_is_written(net, tmp_path):
    export = kqat.export_weight_only(net, tmp_path / "m.tflite")
    assert export.path.read_bytes() == export.content
