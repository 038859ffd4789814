"""Wrong arguments: each message names what was received and what would work."""

import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from kqat import errors


def net():
    return keras.Sequential([keras.Input((4,)), kl.Dense(3, name="conv1"), kl.Dense(2, name="head")])


@pytest.fixture(scope="module")
def trained():
    """A calibrated model and its file."""
    q = kqat.calibrate(kqat.quantize(net()), np.ones((4, 4), "float32"), verbose=0)
    return q, kqat.export_tflite(q)


QUANTIZE = {
    "too many bits": ({"bits": 32}, r"out of range\. Received: bits=32\. Use 1 to 16\. .*exclude"),
    "a type for bits": ({"bits": "int8"}, r"whole number\. Received: bits='int8'\. Use 1 to 16\.$"),
    "no bits": ({"bits": None}, r"whole number\. Received: bits=None"),
    "three widths": ({"bits": (4, 8, 8)}, r"Received: bits=\(4, 8, 8\).*A pair is \(weights, activations\)"),
    "a truth value": ({"bits": np.True_}, r"whole number\. Received: bits="),
    "boundary": ({"boundary_bits": 0}, r"Received: boundary_bits=0\. Use 1 to 16"),
    "family": ({"quantizer": "lsg"}, r"Received: quantizer='lsg'\. Use one of 'lsq', 'auto', 'ema', 'pact'"),
    "engine": ({"engine": "tf"}, r"Received: engine='tf'\. Use one of .*'native'"),
    "layer": ({"exclude": ["haed"]}, r"exclude names no layer.*Received: 'haed'\. Nearest: 'head'"),
    "class": ({"exclude": ["@Conv"]}, r"Received: '@Conv'\. Nearest: '@Dense'"),
    "regex": ({"exclude": ["re:("]}, r"no regular expression.*Received: 're:\('"),
    "a dict for a recipe": (
        {"recipe": {"match": "a", "bits": 4}},
        r"a Plan or a list of rules.*Received: \{'match': 'a', 'bits': 4\}.*Use for example \[\{'match'",
    ),
    "a typo in a rule": (
        {"recipe": [{"match": "head", "bit": 4}]},
        r"Unknown entry.*Received: 'bit'.*Use match, quantize, weight_bits, input_bits, activation_bits, ",
    ),
    "a rule without match": ({"recipe": [{"bits": 4}]}, r"under 'match'\. Received: \{'bits': 4\}"),
    "no such file": (
        {"recipe": "rules.json"},
        r"cannot be read.*Received: recipe='rules.json'.*path of a file",
    ),
    "half a JSON": ({"recipe": '[{"match": '}, r"no JSON.*Received: '\[\{\"match\": '.*list of rules"),
}


@pytest.mark.parametrize("name", QUANTIZE)
def test_arguments_of_quantize(name):
    options, message = QUANTIZE[name]
    with pytest.raises(errors.PlanError, match=message):
        kqat.quantize(net(), **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, e: kqat.export_tflite(q, target="micro"), "'tflite-micro', 'litert'"),
        (lambda q, e: kqat.export_tflite(q, io="int7"), "'int8'.*'float32'.*'uint8'|'float32'"),
        (lambda q, e: kqat.export_lce(q, target="amr"), "'arm', 'xcore'"),
        (lambda q, e: kqat.quantizers.get("lsg"), "'lsq'.*'ema'.*'pact'"),
        (
            lambda q, e: kqat.calibrate(q, np.ones((4, 4), "float32"), observer="min_max"),
            "'minmax'.*'ema'.*'mse', 'percentile'",
        ),
    ],
)
def test_every_choice_is_listed(trained, call, message):
    with pytest.raises(ValueError, match=message):
        call(*trained)


def test_one_array_for_one_input(trained):
    q, export = trained
    x = np.ones((4, 4), "float32")
    runtime = kqat.runtime.load(export)
    np.testing.assert_array_equal(runtime.run(x)[0], runtime(x))
    with pytest.raises(errors.FileError, match="one array an input. Received: dict. Use a list"):
        runtime.run({"x": x})


def test_files_of_another_form_name_their_loader(trained, tmp_path):
    q, export = trained
    q.save(tmp_path / "q.keras")
    q.save_weights(tmp_path / "q.weights.h5")
    (tmp_path / "q.tflite").write_bytes(export.content)
    for name, loader in [
        ("q.keras", r"kqat\.load_model"),
        ("q.tflite", r"kqat\.runtime\.load"),
        ("q.weights.h5", r"load_weights"),
    ]:
        with pytest.raises(errors.CheckpointError, match=rf"{name}.*Use .*{loader}"):
            kqat.load_packed(tmp_path / name)
    with pytest.raises(errors.FileError, match=r"cannot be read.*nowhere"):
        kqat.export_c_array(tmp_path / "nowhere.tflite", tmp_path / "x.h")


def test_a_binary_file_without_binary_layers_warns(trained):
    with pytest.warns(errors.NothingQuantizedWarning, match=r"Nothing .*is binary.*conv1.*bits=1"):
        kqat.export_lce(trained[0])


def test_the_reason_of_a_layer_in_one_piece_ends_with_a_word():
    class Strange(kl.Layer):
        def call(self, x):
            if isinstance(x, keras.KerasTensor) and not self.built_once:
                raise TypeError("words " * 50)
            return x

        built_once = True

    strange, x = Strange(name="strange"), keras.Input((4,))
    model = keras.Model(x, kl.Dense(2)(strange(x)))
    strange.built_once = False
    assert "(words words" in kqat.plan(model)["strange"].reason
    assert "words ...)" in kqat.plan(model)["strange"].reason


RECIPES = {
    "rules": [{"match": "head", "bits": 4}],
    "a class by name": [{"match": "@Dense", "bits": 4}],
    "a regular expression in text": [{"match": "re:^he", "bits": 4}],
}


@pytest.mark.parametrize("name", RECIPES)
def test_rules_as_data_as_text_and_in_a_file(name, tmp_path):
    text = json.dumps(RECIPES[name])
    (tmp_path / "rules.json").write_text(text)
    forms = [RECIPES[name], text, str(tmp_path / "rules.json"), tmp_path / "rules.json"]
    model = net()
    plans = [kqat.plan(model, recipe=form) for form in forms]
    assert plans[0]["head"].weights["kernel"].bits == 4
    assert all(plan == plans[0] for plan in plans)
    (tmp_path / "plan.json").write_text(plans[0].to_json())
    assert kqat.plan(model, recipe=tmp_path / "plan.json") == plans[0]


def test_patterns_as_regular_expressions():
    plan = kqat.plan(net(), exclude=re.compile("v[0-9]$"))
    assert [layer.path for layer in plan.float_layers if layer.kind != "Input"] == ["conv1"]


_MISSING = """
import sys
sys.modules["jax"] = None
try:
    import kqat
except ImportError as error:
    print(error)
"""


def test_a_missing_backend_is_explained(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    done = subprocess.run([sys.executable, "-c", _MISSING], capture_output=True, text=True, timeout=120)
    assert "Keras computes on 'jax', which is not installed" in done.stdout
    assert "KERAS_BACKEND=jax" in done.stdout
    assert "export KERAS_BACKEND=" in done.stdout


def test_public_classes():
    for name in ("Plan", "LayerPlan", "Rule", "Export", "Report", "Summary", "VerifyReport"):
        assert isinstance(getattr(kqat, name), type)
    for name in errors.__all__:
        cls = getattr(errors, name)
        assert issubclass(cls, errors.KqatWarning if name.endswith("Warning") else errors.KqatError)


def test_results_in_notebooks(trained):
    q, export = trained
    plan = kqat.plan(net())
    report = kqat.verify(q, export, np.ones((4, 4), "float32"))
    for shown, words in ((plan, "conv1"), (kqat.summary(q), "conv1"), (report, "head")):
        html = shown._repr_html_()
        assert html.startswith("<table>")
        assert html.count("<tr>") > 1
        assert words in html
    assert "&lt;b&gt;" in kqat.Plan("m", (), notes=("<b>",))._repr_html_()
