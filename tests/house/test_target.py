"""A target, added from outside: an accelerator for convolutions between int8 tensors."""

import pytest
from keras import layers as kl

import kqat
from tests.exactness import images
from tests.transforms import zoo

NPU = kqat.targets.Target(
    "npu",
    kernels=dict.fromkeys(("CONV_2D", "RESHAPE", "MEAN"), frozenset({"int8"})),
    remedies={"SOFTMAX": "Compute the probabilities outside of the model."},
    packed={"CONV_2D": {4}},
    notes=("npu: an example",),
)


def calibrated(*layers, weight_bits=8):
    recipe = [{"match": "conv", "weight_bits": weight_bits}]
    model = zoo.randomize(zoo.chain((6, 6, 4), kl.Conv2D(8, 3, name="conv"), *layers))
    return kqat.calibrate(kqat.quantize(model, recipe=recipe), images(16, 6, 6, 4), verbose=0)


def test_a_target_is_one_file():
    kqat.targets.register(NPU)
    q = calibrated()
    export = kqat.export_tflite(q, io="int8", target="npu")
    assert export.content == kqat.export_tflite(q, io="int8").content
    assert "npu: an example" in export.report.notes
    assert kqat.verify(q, export, images(16, 6, 6, 4)).exact


def test_what_it_lacks_is_refused_with_the_remedy():
    with pytest.raises(
        kqat.errors.ExportError, match="npu cannot run .* 'softmax': SOFTMAX .*outside of the model"
    ):
        kqat.export_tflite(calibrated(kl.Flatten(), kl.Softmax(name="softmax")), io="int8", target=NPU)
    with pytest.raises(kqat.errors.ExportError, match="has no kernel"):
        kqat.export_tflite(calibrated(), target=NPU)  # QUANTIZE, at the borders
    with pytest.raises(ValueError, match="Received: target='other'"):
        kqat.export_tflite(calibrated(), target="other")
    with pytest.raises(TypeError, match=r"kqat\.targets\.Target"):
        kqat.targets.register("npu")


def test_weights_are_packed_where_it_reads_them_so():
    q = calibrated(weight_bits=4)
    exact = kqat.export_tflite(q, io="int8", target=NPU)
    packed = kqat.export_tflite(q, io="int8", target=NPU, weights="packed")
    assert len(packed.content) < len(exact.content)
    assert kqat.verify(q, packed, images(16, 6, 6, 4)).exact
