"""quantize(bits=1): which tensors become signs, what is left out for them, and what the file computes."""

import keras
import numpy as np
import pytest

import kqat
from kqat.layers import Quantized
from kqat.transforms.signs import SIGN_INPUT
from tests.eager import EAGERLY
from tests.export.binary.quantized_nets import IMAGES, float_net, prepared

L = keras.layers


def widths(model, **options):
    plan = kqat.plan(model, **options)
    return {layer.name: None if layer.output is None else layer.output.bits for layer in plan}


def test_tensors_between_binary_layers_are_signs():
    found = widths(float_net(), bits=1)
    signs = {name for name, bits in found.items() if bits == 1}
    assert signs == {"first", "third_sign", "third", "dense"}
    assert {bits for bits in found.values() if bits is not None} == {1, 8}


def test_weights_between_the_ends_are_signs():
    plan = kqat.plan(float_net(), bits=1)
    bits = {layer.name: layer.weights["kernel"].bits for layer in plan if "kernel" in layer.weights}
    assert bits == {"first": 8, "shortcut": 1, "second": 1, "third": 1, "dense": 1, "hidden": 1, "head": 8}


def test_a_relu_before_a_sign_is_left_out():
    plan = {layer.name: layer for layer in kqat.plan(float_net(), bits=1)}
    left_out = [name for name, layer in plan.items() if layer.reason.startswith("left out")]
    assert left_out == ["first_relu", "sum_relu", "third_relu", "dense_relu"]
    assert [name for name, layer in plan.items() if layer.activation_replaced] == [
        "first",
        "sum",
        "third",
        "dense",
    ]
    assert plan["hidden"].output.signed is False  # its ReLU stays: the last layer reads numbers


def test_a_plan_can_be_replayed():
    model = float_net()
    plan = kqat.plan(model, bits=1)
    q = kqat.quantize(model, recipe=plan.to_json())
    names = {layer.name for layer in kqat.quantize(model, bits=1).layers}
    assert names == {layer.name for layer in q.layers}


def test_stripping_gives_the_model_back():
    model = prepared(float_net())
    stripped = kqat.strip_fake_quant(kqat.quantize(model, bits=1))
    assert [layer.name for layer in stripped.layers] == [layer.name for layer in model.layers]
    np.testing.assert_array_equal(stripped.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


def test_a_rule_may_ask_for_numbers():
    rules = [{"match": "third", "weight_bits": 1, "activation_bits": 8}]
    found = widths(float_net(), bits=1, recipe=rules)
    assert found["third"] == 8
    assert "dense_sign" not in found


def test_a_layer_may_ask_to_read_numbers():
    third = kqat.plan(float_net(), bits=1, recipe=[{"match": "third", "bits": (1, 8)}])["third"]
    assert third.weights["kernel"].bits == 1
    assert "third_sign" not in widths(float_net(), bits=1, recipe=[{"match": "third", "bits": (1, 8)}])


def test_wide_activations_need_no_signs():
    assert SIGN_INPUT not in {layer.kind for layer in kqat.plan(float_net(), bits=(1, 8))}


@pytest.mark.parametrize("bits", [1, (4, 1)])
def test_the_file_computes_what_the_model_computes(bits, tmp_path):
    q = kqat.calibrate(kqat.quantize(prepared(float_net()), bits=bits), IMAGES)
    q.save(tmp_path / "q.keras")
    q = kqat.load_model(tmp_path / "q.keras")
    for weights in ("exact", "packed"):
        report = kqat.verify(q, kqat.export_tflite(q, weights=weights), IMAGES, layers=True)
        assert report.outputs[0].unequal == 0
        assert set(report.not_delegated) == {"SOFTMAX"}  # which XNNPACK never takes


def test_a_step_of_training_moves_every_weight():
    q = kqat.quantize(float_net(), bits=1)
    before = [np.array(weight) for weight in q.trainable_weights]
    q.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", **EAGERLY)
    q.fit(IMAGES, np.arange(len(IMAGES)) % 5, epochs=2, verbose=0)
    still = [w.path for w, old in zip(q.trainable_weights, before, strict=True) if np.all(np.array(w) == old)]
    assert still == []
    report = kqat.verify(q, kqat.export_tflite(q), IMAGES)
    assert report.outputs[0].unequal == 0


def test_binary_weights_take_one_bit_in_a_packed_file():
    q = kqat.calibrate(kqat.quantize(float_net(), bits=1), IMAGES)
    exact, packed = (len(kqat.export_tflite(q, weights=form).content) for form in ("exact", "packed"))
    binary = sum(
        int(np.prod(layer.operation.kernel.shape))
        for layer in q.layers
        if isinstance(layer, Quantized) and [x.bits for x in layer.weight_quantizers.values()] == [1]
    )
    assert exact - packed > 0.6 * binary  # 7 of 8 bits of them, less what the list of packed tensors takes
