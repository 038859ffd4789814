"""calibrate takes the same forms of data as verify, and says what is wrong with others."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import DataError

X = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")


def quantized():
    keras.utils.set_random_seed(0)
    return kqat.quantize(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))


FORMS = {
    "lists of numbers": lambda: X.tolist(),
    "representative_dataset": lambda: lambda: ([X[i : i + 1]] for i in range(20)),
    "samples": lambda: list(X),
    "batches": lambda: (X[i : i + 10] for i in (0, 10)),
    "pairs": lambda: [(X[:10], X[:10, :1]), (X[10:], X[10:, :1])],
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_give_the_same_ranges(form):
    expected, model = kqat.calibrate(quantized(), X, verbose=0), quantized()
    kqat.calibrate(model, FORMS[form](), verbose=0)
    for mine, theirs in zip(model.weights, expected.weights, strict=True):
        a, b = (keras.ops.convert_to_numpy(one) for one in (mine, theirs))
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("data", [None, "text", X[:, :3], [[1.0, 2.0], [1.0]], np.array([["a"] * 4])])
def test_what_does_not_fit_is_refused(data):
    with pytest.raises(DataError, match="Received"):
        kqat.calibrate(quantized(), data, verbose=0)


def test_calibrate_says_what_it_came_to(capsys):
    kqat.calibrate(quantized(), X, verbose=1)
    text = capsys.readouterr().out
    assert text.index("ranges") < text.index("bias") < text.index("calibrated on 20 samples: SQNR ")
    assert "with float" in text


def test_verify_reports_the_distance_to_the_float_model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    q = kqat.calibrate(kqat.quantize(model), X, verbose=0)
    report = kqat.verify(q, kqat.export_tflite(q), X, reference=model)
    assert report.reference[0].snr_db > 30
    assert report.to_dict()["reference"][0]["top1_agreement"] > 0.8
    assert "SQNR" in str(report)


@pytest.mark.parametrize(("factor", "said"), [(255.0, "outside"), (1 / 255, "only"), (1.0, None)])
def test_verify_notes_inputs_that_are_not_like_the_calibrated(factor, said):
    x = np.random.default_rng(1).random((32, 4)).astype("float32")
    model = kqat.calibrate(quantized(), x, verbose=0)
    notes = [
        n for n in kqat.verify(model, kqat.export_tflite(model), x * np.float32(factor)).notes if "range" in n
    ]
    assert [said in note and "input" in note for note in notes] == ([True] if said else [])
