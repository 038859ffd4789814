"""Graph inputs and outputs as integers, packed weights, and files for tflite-micro."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError
from kqat.formats.tflite.opened import Opened
from kqat_runtime.packing.expand import expand_file
from kqat_runtime.running.runtime import Runtime

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 8, 8, 4)).astype("float32")
LAYERS = keras.layers


def net(**options):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((8, 8, 4), name="image"),
        LAYERS.Conv2D(8, 3, name="conv", activation="relu"),
        LAYERS.Conv2D(8, 1, name="linear"),
        LAYERS.GlobalAveragePooling2D(name="mean"),
        LAYERS.Dense(5, name="head"),
    ]
    return kqat.calibrate(kqat.quantize(keras.Sequential(layers), **options), X, verbose=0)


@pytest.fixture(scope="module", params=["8", "4", "2"])
def q(request):
    """The same net, its input and output grids as narrow as the others."""
    bits = int(request.param)
    return net(bits=bits, stream_bits=1, boundary_bits=bits)


def dense(bits, narrow_range=False):
    """One layer behind an input of a given grid."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,), name="x"), LAYERS.Dense(3, name="dense")])
    return kqat.calibrate(kqat.quantize(model, bits=bits, boundary_bits=bits), X[0, 0], verbose=0)


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_integer_files_compute_what_the_model_computes(q, io):
    export = kqat.export_tflite(q, io=io)
    report = kqat.verify(q, export, X, layers=True)
    assert report.exact, report
    assert report.first_difference is None
    with Runtime(export.content) as runtime:
        assert [port.dtype for port in (*runtime.inputs, *runtime.outputs)] == [io, io]
        assert [port.name for port in runtime.inputs] == ["image"]
    assert "DEQUANTIZE" not in export.report.operators
    assert export.report.notes == ()


def test_8_bit_files_need_no_border_for_int8(q):
    operators = kqat.export_tflite(q, io="int8").report.operators
    wide = q.get_layer("image_quant").quantizer.bits == 8
    assert operators.get("QUANTIZE", 0) == (0 if wide else 4)  # the input, and three signed outputs


@pytest.mark.parametrize("bits", [8, 4, 2])
@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_no_code_at_the_input_becomes_a_level_that_keras_never_sees(bits, io):
    q = dense(bits)
    grid = q.get_layer("x_quant").quantizer.grid()
    scale, low, high = (float(keras.ops.convert_to_numpy(v)) for v in (grid.scale, grid.qmin, grid.qmax))
    with Runtime(kqat.export_tflite(q, io=io).content) as runtime:
        (port,) = runtime.inputs
        codes = np.arange(np.iinfo(io).min, np.iinfo(io).max + 1).astype(io)
        batch = np.stack([codes, codes[::-1], np.roll(codes, 7), np.roll(codes, 101)], -1)
        (found,) = runtime.run([batch])
    assert port.scale == scale
    levels = np.clip(batch.astype(np.float32) - port.zero_point, low, high)
    expected = q(levels * np.float32(scale), training=False)
    np.testing.assert_array_equal(found, keras.ops.convert_to_numpy(expected))
    assert len(np.unique(levels)) == high - low + 1  # every level of the grid has a code


def test_uint8_differs_from_int8_by_128_only(q):
    files = {io: kqat.export_tflite(q, io=io).content for io in ("int8", "uint8")}
    with Runtime(files["int8"]) as signed, Runtime(files["uint8"]) as unsigned:
        for mine, theirs in ((signed.inputs, unsigned.inputs), (signed.outputs, unsigned.outputs)):
            assert mine[0].scale == theirs[0].scale
            assert mine[0].zero_point + 128 == theirs[0].zero_point
        codes = RNG.integers(-128, 128, X.shape).astype(np.int8)
        (a,) = signed.run([codes], real=False)
        (b,) = unsigned.run([(codes.astype(int) + 128).astype(np.uint8)], real=False)
    np.testing.assert_array_equal(a.astype(int) + 128, b)


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_float_ends_stay_float_and_are_noted(io):
    q = net(exclude=["conv", "head"])
    export = kqat.export_tflite(q, io=io)
    with Runtime(export.content) as runtime:
        assert [port.dtype for port in (*runtime.inputs, *runtime.outputs)] == ["float32", "float32"]
    assert "input 'image' stays float32: not all layers that read it are quantized" in export.report.notes
    assert "output 'head' stays float32: it has no grid" in export.report.notes


def test_a_quantizer_that_serves_the_input_and_a_layer_rounds_both():
    """Concatenation puts its operands on one grid; here one operand is the raw input."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 4))
    model = keras.Model(x, LAYERS.Concatenate()([LAYERS.Conv2D(4, 3, padding="same")(x), x]))
    q = kqat.calibrate(kqat.quantize(model), X, verbose=0)
    for io in ("float32", "int8"):
        report = kqat.verify(q, kqat.export_tflite(q, io=io), X)
        assert report.exact, report


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"io": "int16"}, "Received: io='int16'. Use one of 'int8', 'uint8'"),
        ({"weights": "pack"}, "Received: weights='pack'. Use one of 'packed'"),
        ({"target": "micro"}, "Received: target='micro'. Use one of 'tflite-micro'"),
    ],
)
def test_unknown_options_are_refused(option, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        kqat.export_tflite(dense(8), tmp_path / "m.tflite", **option)
    assert not list(tmp_path.iterdir())


# Packed weights.


def test_packed_files_expand_to_the_exact_one(q, tmp_path):
    exact = kqat.export_tflite(q)
    packed = kqat.export_tflite(q, tmp_path / "m.tflite", weights="packed")
    assert expand_file(packed.content) == exact.content
    report = kqat.verify(q, packed, X)
    assert report.exact, report
    assert (tmp_path / "m.tflite").read_bytes() == packed.content
    bits = q.get_layer("image_quant").quantizer.bits
    assert (packed.content == exact.content) == (bits == 8)
    assert any("plain LiteRT" in note for note in packed.report.notes) == (bits < 8)


def test_packing_that_loses_something_is_an_error(monkeypatch):
    from kqat.export.packing import storage

    monkeypatch.setattr(storage, "expand_file", lambda content: content[:-1])
    with pytest.raises(ExportError, match="not reversible.*Received: weights of conv, head, linear"):
        kqat.export_tflite(net(), weights="packed")


# Microcontrollers.


def test_micro_files_are_plain_files_with_a_note(q):
    micro = kqat.export_tflite(q, io="int8", target="tflite-micro")
    assert micro.content == kqat.export_tflite(q, io="int8").content
    assert any("tflite-micro rounds differently" in note for note in micro.report.notes)


def test_micro_packs_what_has_a_kernel_there():
    q = net(bits=4, boundary_bits=4)
    export = kqat.export_tflite(q, io="int8", target="tflite-micro", weights="packed")
    types = {tensor.name: tensor.type for tensor in Opened(export.content).tensors}
    assert types["conv_quant/weights"] == "int4"
    assert types["linear_quant/weights"] == "int4"
    assert types["head_quant/weights"] == "int8"  # per channel: no INT4 kernel
    assert kqat.verify(q, export, X).exact


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (LAYERS.Activation("gelu", name="act"), "layer 'act': GELU"),
        (LAYERS.Dense(3, activation="gelu", name="act"), "GELU"),
    ],
)
def test_micro_names_the_layer_that_it_cannot_run(layer, said, tmp_path):
    model = keras.Sequential([keras.Input((4,)), LAYERS.Dense(4, name="first"), layer])
    q = kqat.calibrate(kqat.quantize(model), X[0, 0], verbose=0)
    kqat.export_tflite(q)
    with pytest.raises(ExportError, match=f"{said}.*Use "):
        kqat.export_tflite(q, tmp_path / "m.tflite", target="tflite-micro")
    assert not list(tmp_path.iterdir())
