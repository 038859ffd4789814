"""Models of which nothing is quantized: `quantize` says so once, `calibrate` says why."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers as kl

import kqat
from kqat.core.errors import NotCalibratedError, NothingQuantizedWarning


def dense():
    return keras.Sequential([keras.Input((4,)), kl.Dense(3, name="my_dense"), kl.ReLU(name="my_relu")])


def unsupported():
    resize = kl.Resizing(5, 3, pad_to_aspect_ratio=True, fill_value=0.5, name="my_resize")
    return keras.Sequential([keras.Input((4, 4, 1)), resize])


CASES = {
    "all excluded": (dense, {"exclude": ["*"]}, ["my_dense (Dense): excluded by rule", "my_relu (ReLU)"]),
    "not included": (dense, {"include": ["my_relu"], "exclude": ["my_relu"]}, ["my_dense (Dense): not in"]),
    "unsupported": (unsupported, {}, ["my_resize (Resizing): no integer kernel for interpolation"]),
}


@pytest.mark.parametrize("name", CASES)
def test_each_layer_is_named_with_its_reason(name):
    make, options, words = CASES[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        q = kqat.quantize(make(), **options)
    (one,) = [w for w in caught if w.category is NothingQuantizedWarning]
    assert one.filename == __file__
    with pytest.raises(NotCalibratedError) as error:
        kqat.calibrate(q, np.zeros((4, *q.input_shape[1:]), "float32"))
    for message in (str(one.message), str(error.value)):
        assert all(word in message for word in words)
        assert "kqat.quantize" not in message


def test_a_model_that_was_never_quantized_gets_the_remedy(tmp_path):
    for model in (dense(), unsupported()):
        model.save(tmp_path / "m.keras")
        for one in (model, kqat.load_model(tmp_path / "m.keras")):
            with pytest.raises(NotCalibratedError, match=r"no quantizers.*my_.*kqat\.plan\(model\)"):
                kqat.calibrate(one, np.zeros((4, *one.input_shape[1:]), "float32"))


def test_one_quantized_layer_is_enough():
    kqat.quantize(dense(), exclude=["my_relu"])
