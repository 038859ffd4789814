"""The wrapper of one quantized layer."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat import quantizers
from kqat.core.errors import SimulationWarning
from kqat.layers import Quantized
from kqat.lowering.base import Input
from tests.transforms import zoo


def blocks(q):
    return {layer.name: layer for layer in q.layers if isinstance(layer, Quantized)}


def quantized(*layers, bits=8, shape=(6,), **options):
    q = kqat.quantize(zoo.randomize(zoo.chain(shape, *layers)), bits, **options)
    q(np.random.default_rng(0).normal(size=(16, *shape)).astype("float32"), training=True)
    return q


def on_grid(y, fake_quant):
    grid = fake_quant.quantizer.grid()
    levels = y / ops.convert_to_numpy(grid.scale)
    return np.abs(levels - np.rint(levels)).max() < 1e-3  # level numbers up to 255, in float32


def test_inference_is_integer_where_every_grid_is_known():
    q = quantized(kl.Dense(4, name="a"), kl.ReLU(), kl.Dense(3, name="b"))
    assert all(block.is_integer for block in blocks(q).values())
    y = zoo.results(q, zoo.VECTOR)[0]
    assert on_grid(y, q.get_layer("b_quant"))


def test_a_float_neighbour_makes_inference_float():
    q = quantized(kl.Dense(4, name="a"), kl.Dense(3, name="b"), kl.Dense(2, name="c"), exclude="b")
    assert {name: block.is_integer for name, block in blocks(q).items()} == {"a": True, "c": True}
    assert type(q.get_layer("b")) is kl.Dense


def test_binding_survives_saving(tmp_path):
    q = quantized(kl.Dense(4, name="a"), kl.Flatten(), kl.Dense(3, "softmax", name="b"))
    again = zoo.reloaded(q, tmp_path)
    assert {n: b.is_integer for n, b in blocks(again).items()} == {
        n: b.is_integer for n, b in blocks(q).items()
    }
    assert all(block.is_integer for block in blocks(again).values())


def test_binding_survives_cloning():
    q = quantized(kl.Dense(4, name="a"), kl.Dense(3, name="b"))
    again = keras.models.clone_model(q)
    again.set_weights(q.get_weights())
    assert all(block.is_integer for block in blocks(again).values())
    zoo.assert_equal(zoo.results(again, zoo.VECTOR), zoo.results(q, zoo.VECTOR))


def test_calling_a_layer_on_something_else_changes_nothing(tmp_path):
    model = quantized(kl.Dense(4, name="a"), kl.ReLU(), kl.Dense(3, name="b"), bits=4)
    for q in (model, zoo.reloaded(model, tmp_path), keras.models.clone_model(model)):
        q.set_weights(model.get_weights())
        before = zoo.results(q, zoo.VECTOR)
        for layer in q.layers[1:]:
            layer(keras.Input(layer.input.shape[1:]))
        assert all(block.is_integer for block in blocks(q).values())
        zoo.assert_equal(zoo.results(q, zoo.VECTOR), before)


def test_a_layer_that_loses_its_grids_says_so():
    """Here a copy of the model gives its quantizers other names; the layer would compute in float."""
    q = quantized(kl.Dense(4, name="a"), kl.Dense(3, name="b"))

    def renamed(layer):
        config = layer.get_config()
        if layer.name == "a_quant":
            config["name"] = "other"
        return type(layer).from_config(config)

    again = keras.models.clone_model(q, clone_function=renamed)
    again.set_weights(q.get_weights())
    with pytest.warns(SimulationWarning, match="Received: a model without .*'a_quant'"):
        again(zoo.VECTOR)
    assert not any(block.is_integer for block in blocks(again).values())


def test_model_saved_without_names_of_grids_finds_them():
    q = quantized(kl.Dense(4, name="a"), kl.Dense(3, name="b"))
    config = q.get_config()
    for entry in config["layers"]:
        entry["config"].pop("grids", None)
        entry["config"].pop("makers", None)
    again = type(q).from_config(config)
    again.set_weights(q.get_weights())
    assert all(block.is_integer for block in blocks(again).values())
    zoo.assert_equal(zoo.results(again, zoo.VECTOR), zoo.results(q, zoo.VECTOR))


@pytest.mark.repeats
def test_grid_is_found_through_layers_that_pass_values_on():
    q = quantized(
        kl.Conv2D(2, 1, name="a"), kl.MaxPooling2D(), kl.Dropout(0.5), kl.Flatten(), kl.Dense(3, name="b"),
        shape=(4, 4, 3),
    )  # fmt: skip
    assert blocks(q)["b"].is_integer
    step = blocks(q)["b"].step()
    assert step.inputs[0].scale == blocks(q)["a"].step().output.scale


def test_step_holds_whole_numbers():
    q = quantized(kl.Dense(4, name="a"), kl.BatchNormalization(), kl.ReLU(), kl.Dense(3, name="b"), bits=4)
    for block in blocks(q).values():
        weights = block.step().weights
        for part in (weights.values, weights.bias):
            part = ops.convert_to_numpy(part)
            np.testing.assert_array_equal(part, np.rint(part))
        assert np.abs(ops.convert_to_numpy(weights.values)).max() <= 127
        assert (ops.convert_to_numpy(weights.scale) > 0).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_training_and_inference_agree(bits):
    layers = [
        kl.Conv2D(4, 3, use_bias=False),
        kl.BatchNormalization(),
        kl.ReLU(),
        kl.Flatten(),
        kl.Dense(3, name="o"),
    ]
    q = quantized(*layers, shape=(6, 6, 2), bits=bits)
    for layer in q._flatten_layers():
        if isinstance(layer, quantizers.Quantizer):
            layer.set_frozen(True)
    for block in blocks(q).values():
        block.set_batchnorm_frozen(True)
    x = np.random.default_rng(1).normal(size=(16, 6, 6, 2)).astype("float32")
    trained, inferred = zoo.results(q, x, training=True)[0], zoo.results(q, x)[0]
    scale = float(ops.convert_to_numpy(q.get_layer("o_quant").quantizer.grid().scale))
    # The bias is on no grid in training: single levels differ, by ties, and those of the middle layer
    # move the sum behind it by a fraction of its largest term.
    assert np.mean(np.abs(trained - inferred) > 1.5 * scale) < 0.05


def test_regularization_losses_equal_those_of_the_float_model():
    model = zoo.chain(
        (6,),
        kl.Dense(4, kernel_regularizer="l2", bias_regularizer="l1"),
        kl.Dense(3, activity_regularizer="l2"),
    )
    zoo.randomize(model)
    q = kqat.quantize(model)
    for layer in q._flatten_layers():
        if isinstance(layer, quantizers.Quantizer):
            layer.set_enabled(False)
    model(zoo.VECTOR, training=True)
    q(zoo.VECTOR, training=True)
    # Of 3 losses; in another order.
    found = sorted(float(ops.convert_to_numpy(loss)) for loss in q.losses)
    expected = sorted(float(ops.convert_to_numpy(loss)) for loss in model.losses)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(found) == 3


TEMPLATES = [
    None,
    ((Input(0), 2.0), {}),
    (([Input(0), Input(1)],), {"axis": -1}),
    ((Input(1), Input(0)), {"flag": True, "name": None}),
    ((Input(0), np.float32([1, 2])), {}),
]


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_template_survives_configuration(template):
    layer = Quantized(kl.Dense(3, name="d"), template=template)
    again = Quantized.from_config(layer.get_config())
    tensors = [zoo.VECTOR, zoo.VECTOR * 2]
    ours, theirs = layer.arguments(tensors), again.arguments(tensors)
    assert str(ours) == str(theirs)


def test_manual_use_without_quantizers_is_the_layer_itself():
    dense = kl.Dense(3)
    block = Quantized(dense, batchnorm=kl.BatchNormalization(), activation=kl.ReLU())
    model = zoo.randomize(zoo.chain((6,), block))
    expected = kl.ReLU()(block.batchnorm(dense(zoo.VECTOR)))
    zoo.assert_equal(zoo.results(model, zoo.VECTOR), {0: ops.convert_to_numpy(expected)})


def test_weight_quantizer_is_where_the_weight_is_read():
    block = Quantized(kl.Dense(2, use_bias=False), {"kernel": quantizers.MinMax(2, axis=(1,))})
    model = zoo.randomize(zoo.chain((6,), block))
    kernel = ops.convert_to_numpy(block.operation.kernel)
    top = np.abs(kernel).max(0)
    expected = zoo.VECTOR @ (np.rint(kernel / top) * top)
    # 2 bits, narrow: -max, 0, max; a float32 sum of 6 terms
    np.testing.assert_allclose(zoo.results(model, zoo.VECTOR)[0], expected, rtol=1e-5, atol=1e-6)


def test_every_layer_is_saved_where_it_belongs(tmp_path):
    import h5py

    net = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.MaxPooling2D(2, name="pool"),
            keras.layers.BatchNormalization(name="alone"),
        ]
    )
    kqat.quantize(net).save_weights(tmp_path / "q.weights.h5")
    paths = []
    with h5py.File(tmp_path / "q.weights.h5") as file:
        file.visititems(lambda path, item: paths.append(path) if isinstance(item, h5py.Dataset) else None)
    # The file calls the wrappers `quantized` and `quantized_1`, in the order of the model.
    parts = {"/".join(path.split("/")[1:3]) for path in paths}
    assert {"quantized/operation", "quantized/batchnorm", "quantized_1/operation"} <= parts, sorted(parts)
    assert not any("norm_layer" in path or "makers" in path for path in paths)
