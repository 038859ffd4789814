"""Tracing: names, nesting, and what cannot be traced."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.errors import TraceError
from kqat.transforms.graph import trace
from kqat.transforms.naming import rename
from kqat.transforms.nodes import tensors_in
from tests.transforms import zoo


def paths(model):
    return [node.path for node in trace(model).nodes]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("functional in functional", ["block/a", "block/b", "head"]),
        ("block called twice in a row", ["block/a", "block/b"] * 2 + ["head"]),
        ("same names in two blocks", ["one/a", "one/b", "two/a", "two/b"]),
        ("Sequential in functional", ["block/a", "block/b", "tower/a", "tower/b"]),
        ("subclassed in functional", ["res/a", "res/relu", "res/b", "res/add", "head"]),
        ("subclassed", ["a", "relu", "b", "add"]),
        ("subclassed, dicts", ["a", "a", "b", "add"]),
    ],
)
def test_paths(name, expected):
    assert paths(zoo.STRUCTURES[name]()) == expected


def test_second_call_of_a_nested_subclassed_model_shares_its_layers_only():
    graph = trace(zoo.STRUCTURES["subclassed, nested"]())
    ours = [node.path for node in graph.nodes if node.path.startswith("residual")]
    once = ["residual/a", "residual/relu", "residual/b", "residual/add"]
    assert ours == [*once, "residual/a", "residual/relu_1", "residual/b", "residual/add_1"]


@pytest.mark.parametrize("name", ["subclassed", "subclassed, nested", "MyNet", "subclassed in functional"])
def test_names_are_the_same_in_every_trace(name):
    model = zoo.STRUCTURES[name]()
    assert trace(model).names == trace(model).names


def test_layers_of_one_name_are_told_apart():
    class Same(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = kl.Dense(6, name="d"), kl.Dense(6, name="d")

        def call(self, x):
            return self.two(self.one(x))

    model = zoo.randomize(zoo.called(Same(), zoo.VECTOR))
    assert paths(model) == ["d", "d_1"]
    stripped = kqat.strip_fake_quant(kqat.quantize(model))
    zoo.assert_equal(zoo.results(stripped, zoo.VECTOR), zoo.results(model, zoo.VECTOR))


@pytest.mark.parametrize(
    ("given", "taken", "expected"),
    [
        (["a/x", "b/x"], [], ["a_x", "b_x"]),
        (["a/x", "x"], [], ["a_x", "x"]),
        (["a/x", "b"], [], ["x", "b"]),
        (["a/x", "b/x", "a_x"], [], ["a_x_1", "b_x", "a_x"]),
        (["a/x"], ["x"], ["a_x"]),
        (["a/x", "a/x"], [], ["x"]),
    ],
)
def test_rename(given, taken, expected):
    assert list(rename(given, taken).values()) == expected


def test_input_named_like_a_layer():
    class Clash(keras.Model):
        def __init__(self):
            super().__init__()
            self.x = kl.Dense(3, name="x")

        def call(self, x):
            return self.x(x)

    model = zoo.randomize(zoo.called(Clash(), zoo.VECTOR))
    q = kqat.quantize(model)
    zoo.assert_equal(zoo.results(kqat.strip_fake_quant(q), zoo.VECTOR), zoo.results(model, zoo.VECTOR))


def test_consumers_and_specs():
    graph = trace(zoo.STRUCTURES["list inputs, list outputs"]())
    readers = graph.consumers()
    first, second = tensors_in(graph.inputs)
    assert [node.op.__class__.__name__ for node in readers[first]] == ["Add", "Multiply"]
    assert graph.specs[second].shape == (None, 6)
    assert list(graph.input_names.values()) == ["a", "b"]


def test_training_argument_of_a_nested_model_reaches_its_layers():
    inner = zoo.chain((6,), kl.Dense(6), kl.BatchNormalization(), kl.Dropout(0.5))
    nodes = trace(zoo.functional(lambda x: inner(x, training=False))).nodes
    assert [node.kwargs.get("training") for node in nodes] == [False] * 3


def model_of(call, build=zoo.VECTOR, **parts):
    """A subclassed model with the given `call(self, x)`, built on `build`."""

    class Model(keras.Model):
        def __init__(self):
            super().__init__(name="mine")
            self.dense = kl.Dense(6, name="dense")
            self.drop = kl.Dropout(0.5)
            for key, value in parts.items():
                setattr(self, key, value)

    Model.call = call
    return zoo.called(Model(), build)


def test_control_flow_on_values_is_refused():
    def call(self, x):
        y = self.dense(x)
        return y if float(ops.convert_to_numpy(ops.sum(y))) > 0 else -y

    with pytest.raises(TraceError, match="(?i)'mine'.*cannot be recorded.*control flow.*use keras.ops"):
        trace(model_of(call))


def test_other_failures_of_call_are_passed_on():
    def call(self, x):
        if isinstance(x, keras.KerasTensor) and self.broken:
            raise RuntimeError("out of order")
        return self.dense(x)

    model = model_of(call, broken=False)
    model.broken = True
    with pytest.raises(TraceError, match="'mine' cannot be recorded: out of order"):
        trace(model)


def test_control_flow_on_training_is_refused():
    def call(self, x, training=None):
        y = self.dense(x)
        return self.drop(y, training=training) if training else y

    with pytest.raises(TraceError, match="control flow on `training`"):
        trace(model_of(call))


class Direct(keras.Model):
    """Computes with a weight of its own, with the variable itself or with a tensor made of it."""

    def __init__(self, computed):
        super().__init__(name="mine")
        self.computed = computed
        self.w = self.add_weight(shape=(6, 2), name="w")

    def call(self, x):
        return ops.matmul(x, ops.exp(self.w) if self.computed else self.w)


def test_weights_of_a_model_get_a_layer():
    model = zoo.called(Direct(computed=False), zoo.VECTOR)
    (node,) = trace(model).nodes
    assert (node.path, node.op.kernel) == ("matmul", model.w)
    stripped = kqat.strip_fake_quant(kqat.quantize(model))
    zoo.assert_equal(zoo.results(stripped, zoo.VECTOR), zoo.results(model, zoo.VECTOR))


def test_weights_that_leave_no_record_are_refused():
    with pytest.raises(TraceError, match="leaves no record.*w'"):
        trace(zoo.called(Direct(computed=True), zoo.VECTOR))


def test_other_layers_weight_used_directly_is_refused():
    def call(self, x):
        return ops.matmul(self.dense(x), ops.transpose(x)) + ops.sum(x @ self.dense.kernel)

    with pytest.raises(TraceError, match=r"directly with the weight '.*kernel'"):
        trace(model_of(call))


def test_no_tensor_returned_is_refused():
    def call(self, x):
        return [self.dense(x), 3] if isinstance(x, keras.KerasTensor) else self.dense(x)

    with pytest.raises(TraceError, match="other than tensors.*Received.*3"):
        trace(model_of(call))


def test_several_arguments_need_a_wrapper():
    class Pair(keras.Model):
        def __init__(self):
            super().__init__(name="pair")
            self.dense = kl.Dense(6)

        def call(self, a, b, training=None):
            return self.dense(a) - b

    pair = zoo.called(Pair(), zoo.VECTOR, zoo.VECTOR)
    with pytest.raises(TraceError, match=r"takes \['a', 'b'\].*keras.Model\(inputs, model\(\*inputs\)\)"):
        trace(pair)
    inputs = [keras.Input((6,)), keras.Input((6,))]
    wrapped = zoo.randomize(keras.Model(inputs, pair(*inputs)))
    x = zoo.batch(wrapped)
    zoo.assert_equal(
        zoo.results(kqat.strip_fake_quant(kqat.quantize(wrapped)), x), zoo.results(pair, x[0], b=x[1])
    )


@pytest.mark.parametrize(
    "model",
    [lambda: keras.Sequential([kl.Dense(3)]), lambda: zoo.Residual()],
    ids=["sequential", "subclassed"],
)
def test_unbuilt_models_are_refused(model):
    with pytest.raises(TraceError, match="no weights yet.*Call it once on a batch"):
        trace(model())


@pytest.mark.parametrize("thing", [None, 3, kl.Dense(3)], ids=str)
def test_other_objects_are_refused(thing):
    with pytest.raises(TraceError, match="Received: .*Use a keras.Model"):
        trace(thing)


def test_layer_without_a_configuration_is_copied_as_the_object_that_it_is():
    class Opaque(kl.Layer):
        def __init__(self, function):
            super().__init__(name="opaque")
            self.function = function

        def call(self, x, training=None):
            return x if training else self.function(x)  # so it is not opened

    model = zoo.functional(lambda x: Opaque(ops.tanh)(kl.Dense(3)(x)))
    quantized = kqat.quantize(model)
    kept = quantized.get_layer("opaque")
    assert (kept.operation if hasattr(kept, "operation") else kept) is not model.get_layer("opaque")
    x = np.random.default_rng(0).normal(size=(4, *model.input_shape[1:])).astype("float32")
    stripped = kqat.strip_fake_quant(quantized)
    np.testing.assert_array_equal(stripped.predict(x, verbose=0), model.predict(x, verbose=0))


def test_failed_trace_leaves_no_record():
    def call(self, x):
        return [self.dense(x), 3] if isinstance(x, keras.KerasTensor) else self.dense(x)

    model = model_of(call)
    before = len(model.dense._inbound_nodes)
    with pytest.raises(TraceError):
        trace(model)
    assert len(model.dense._inbound_nodes) == before


def test_values_of_the_traced_model_are_those_of_the_call():
    model = zoo.made(zoo.STRUCTURES["subclassed, nested"])
    x = zoo.batch(model)
    np.testing.assert_array_equal(zoo.results(kqat.strip_fake_quant(model), x)[0], zoo.results(model, x)[0])
