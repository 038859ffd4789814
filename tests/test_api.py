"""`quantize` and `plan` on random graphs, and what they refuse."""

import inspect

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import PlanError, TraceError
from tests.transforms import zoo

UNARY = {
    "dense": lambda: kl.Dense(4),
    "dense relu": lambda: kl.Dense(4, activation="relu"),
    "dense tanh": lambda: kl.Dense(4, activation="tanh"),
    "norm": lambda: kl.BatchNormalization(),
    "relu": lambda: kl.ReLU(),
    "drop": lambda: kl.Dropout(0.3),
    "reshape": lambda: kl.Reshape((4,)),
    "scaled": lambda: lambda x: x * -0.5,
    "shifted": lambda: lambda x: 1.0 - x,
    "relu op": lambda: ops.relu,
    "float": lambda: kl.LayerNormalization(),
    "block": lambda: zoo.chain((4,), kl.Dense(4, name="a"), kl.ReLU(name="r"), kl.Dense(4, name="b")),
}
BINARY = {
    "add": lambda: kl.Add(),
    "multiply": lambda: kl.Multiply(),
    "maximum": lambda: kl.Maximum(),
    "plus": lambda: lambda pair: pair[0] + pair[1],
}
STEPS = st.lists(
    st.tuples(st.sampled_from([*UNARY, *BINARY]), st.integers(0, 9), st.integers(0, 9), st.booleans()),
    min_size=1,
    max_size=7,
)


def random_model(steps, seed):
    """A graph whose nodes read any tensors made before; a step may repeat an earlier layer of its kind."""
    tensors = [keras.Input((4,), name="a"), keras.Input((4,), name="b")]
    made = {}
    for kind, left, right, repeat in steps:
        if kind not in made or not repeat:
            made[kind] = {**UNARY, **BINARY}[kind]()
        pair = [tensors[left % len(tensors)], tensors[right % len(tensors)]]
        tensors.append(made[kind](pair if kind in BINARY else pair[0]))
    outputs = tensors[2:][-2:]
    return zoo.randomize(keras.Model(tensors[:2], outputs, name="random"), seed)


@settings(max_examples=8)
@given(steps=STEPS, bits=st.sampled_from([8, 4]), seed=st.integers(0, 99))
def test_random_graphs(steps, bits, seed, tmp_path_factory):
    model = random_model(steps, seed)
    x = zoo.batch(model)
    plan = kqat.plan(model, bits)
    q = kqat.quantize(model, bits)
    assert kqat.plan(model, recipe=plan.to_json()) == plan
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(q), x), zoo.results(model, x))
    assert all(np.isfinite(y).all() for y in zoo.results(q, x, training=True).values())
    again = zoo.reloaded(q, tmp_path_factory.mktemp("random"))
    zoo.assert_equal(zoo.results(again, x), zoo.results(q, x))
    kqat.transfer_weights(again, model)
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(again), x), zoo.results(model, x))


def test_result_is_an_ordinary_model(tmp_path):
    layers = [kl.Dense(4, use_bias=False), kl.BatchNormalization(), kl.Dense(3, "softmax")]
    model = zoo.randomize(zoo.chain((6,), *layers))
    q = kqat.quantize(model, 4)
    assert isinstance(q, keras.Model)
    assert q.name == model.name
    x = zoo.batch(model, size=32)
    y = np.random.default_rng(0).integers(0, 3, 32)
    q.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = q.fit(x, y, epochs=2, batch_size=16, validation_split=0.5, verbose=0)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    predicted = q.predict(x, batch_size=16, verbose=0)
    q.save(tmp_path / "q.keras")
    again = keras.saving.load_model(tmp_path / "q.keras")
    np.testing.assert_array_equal(again.predict(x, batch_size=16, verbose=0), predicted)
    assert again.optimizer.iterations == q.optimizer.iterations
    again.run_eagerly = True  # a second compilation would test nothing new
    again.fit(x, y, verbose=0)


def test_eight_bits_stay_close_to_float():
    model = zoo.made(zoo.STRUCTURES["MyNet"])
    x = zoo.batch(model, size=64)
    q = kqat.quantize(model, 8)
    for block in q.layers:
        if hasattr(block, "set_batchnorm_frozen"):
            block.set_batchnorm_frozen(True)
    q(x, training=True)
    # Ten 8-bit roundings of signals of about 1, before a softmax.
    assert np.abs(zoo.results(q, x)[0] - zoo.results(model, x)[0]).max() < 0.05


def test_quantized_twice_is_refused():
    q = kqat.quantize(zoo.made(zoo.STRUCTURES["sequential"]))
    for verb in (kqat.quantize, kqat.plan):
        with pytest.raises(PlanError, match="quantized already.*strip_fake_quant"):
            verb(q)
    with pytest.raises(PlanError, match="quantized already"):
        kqat.quantize(zoo.chain((6,), kqat.layers.QuantDense(3)))


def test_mistakes_change_nothing():
    model = zoo.made(zoo.STRUCTURES["MyNet"])
    before = {i: ops.convert_to_numpy(v) for i, v in enumerate(model.variables)}
    for arguments in ({"bits": 0}, {"exclude": "nothing"}, {"recipe": "no plan"}, {"engine": "x"}):
        with pytest.raises(PlanError, match="Received"):
            kqat.quantize(model, **arguments)
    zoo.assert_equal({i: ops.convert_to_numpy(v) for i, v in enumerate(model.variables)}, before)


@pytest.mark.parametrize("thing", [None, "model", np.zeros(3), kl.Dense(2)], ids=lambda x: type(x).__name__)
def test_things_that_are_no_model(thing):
    with pytest.raises(TraceError, match="Use a keras.Model"):
        kqat.quantize(thing)


def test_unknown_option():
    with pytest.raises(TypeError, match="wheights"):
        kqat.plan(zoo.STRUCTURES["sequential"](), wheights=3)


def public_functions():
    for name in kqat.__all__:
        thing = getattr(kqat, name)
        inside = {key: getattr(thing, key) for key in getattr(thing, "__all__", ())}
        for key, one in {name: thing, **{f"{name}.{key}": value for key, value in inside.items()}}.items():
            if inspect.isfunction(one):
                yield key, one
            elif inspect.isclass(one) and "__init__" in vars(one):
                yield key, one.__init__


def test_every_argument_of_the_public_interface_has_a_type():
    free = ("self", "args", "kwargs", "options", "defaults")
    missing = [
        f"{name}({parameter.name})"
        for name, function in public_functions()
        for parameter in inspect.signature(function).parameters.values()
        if parameter.annotation is parameter.empty and parameter.name not in free
    ]
    assert not missing
