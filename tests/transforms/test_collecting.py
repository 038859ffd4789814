"""Concatenations at the end of a model keep the grids of their parts; others can, and calibrate tells."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import kqat
from kqat.core.errors import PlanError, SharedGridWarning

X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")


def boxes_and_scores(x):
    start = keras.initializers.RandomNormal(stddev=200.0, seed=0)
    boxes = layers.Dense(4, kernel_initializer=start, name="boxes")
    return boxes(x), layers.Dense(5, activation="sigmoid")(x)


def plain(x):
    return layers.Concatenate()([*boxes_and_scores(x)])


def operation(x):
    return ops.concatenate([*boxes_and_scores(x)], axis=-1)


def scales(x):
    boxes, scores = boxes_and_scores(x)
    heads = [layers.Reshape((1, 9))(layers.Concatenate()([boxes, scores])) for _ in range(2)]
    return layers.Permute((2, 1))(layers.Concatenate(axis=1)(heads))


@pytest.mark.parametrize("bits", [8, 4, (8, 16)])
@pytest.mark.parametrize("net", [plain, operation, scales])
def test_collected_results_keep_their_grids(net, bits, tmp_path):
    x = keras.Input((8,))
    model = kqat.calibrate(kqat.quantize(keras.Model(x, net(x)), bits=bits), X, verbose=0)
    model.save(tmp_path / "m.keras")
    model = kqat.load_model(tmp_path / "m.keras")
    y = model.predict(X, verbose=0)
    assert len(np.unique(y[:, 4:9])) >= 30
    export = kqat.export_tflite(model)
    assert kqat.verify(model, export, X).exact
    assert any("grid of its own" in note for note in export.report.notes)
    assert any(
        "output" in note and "parts" in note for note in kqat.export_tflite(model, io="int8").report.notes
    )


def neck(**options):
    x = keras.Input((8,))
    y = layers.Dense(3)(layers.Concatenate(name="neck")([*boxes_and_scores(x)]))
    return kqat.quantize(keras.Model(x, y), **options)


def test_calibrate_warns_of_parts_that_are_too_different():
    with pytest.warns(SharedGridWarning, match="boxes.*dense.*share"):
        kqat.calibrate(neck(), X, verbose=0)


@pytest.mark.parametrize("options", [{}, {"recipe": [{"match": "neck", "share": False}]}])
def test_verify_notes_such_parts_where_ranges_were_learned(options):
    model = neck(**options)
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, np.zeros((len(X), 3)), verbose=0)
    report = kqat.verify(model, kqat.export_tflite(model), X)
    assert report.exact
    noted = [note for note in report.notes if "share the grid" in note]
    assert len(noted) == (0 if options else 1)
    assert all("'boxes' up to" in note and "'share': False" in note for note in noted)


@pytest.mark.parametrize("bits", [8, 4, (8, 16)])
def test_parts_of_an_inner_concatenation_can_have_grids_of_their_own(bits):
    model = kqat.calibrate(neck(bits=bits, recipe=[{"match": "neck", "share": False}]), X, verbose=0)
    export = kqat.export_tflite(model)
    assert kqat.verify(model, export, X).exact


def test_layers_called_on_very_different_tensors_warn():
    dense, (a, b) = layers.Dense(3), (keras.Input((8,)), keras.Input((8,)))
    model = kqat.quantize(keras.Model([a, b], [dense(a), dense(b)]))
    with pytest.warns(SharedGridWarning):
        kqat.calibrate(model, [X, 100 * X], verbose=0)


@pytest.mark.parametrize("deep_first", [True, False])
def test_the_warning_names_each_tensor_with_its_own_size(deep_first):
    x, other = keras.Input((8,), name="x"), keras.Input((8,), name="other")
    deep = layers.Reshape((8,))(
        layers.Reshape((2, 4))(x)
    )  # computed before the other one, wherever it stands
    flat = layers.Rescaling(100.0, name="flat")(other)
    y = layers.Dense(3)(layers.Concatenate()([deep, flat] if deep_first else [flat, deep]))
    model = kqat.quantize(keras.Model([x, other], y))
    with pytest.warns(
        SharedGridWarning, match="'x' up to 1,.*'flat' up to 100|'flat' up to 100, 'x' up to 1"
    ):
        kqat.calibrate(model, [np.ones_like(X), np.ones_like(X)], verbose=0)


def test_only_concatenations_can_share():
    with pytest.raises(PlanError, match="concatenations.*boxes"):
        neck(recipe=[{"match": "boxes", "share": False}])
