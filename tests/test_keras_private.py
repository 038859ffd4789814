"""The contract of the installed Keras: what kqat uses without a promise does what it is used for."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from kqat import keras_private as private


def model():
    inner = keras.Sequential([kl.Dense(3, name="deep"), kl.Dropout(0.5, name="drop")], name="inner")
    inputs = keras.Input((4,), name="x")
    return keras.Model(inputs, kl.Dense(2, name="head")(inner(inputs)))


def test_layers_at_any_depth():
    names = [layer.name for layer in private.layers_of(model(), itself=False)]
    assert {"x", "inner", "deep", "drop", "head"} <= {*names}
    assert "head" not in [layer.name for layer in private.layers_of(model().get_layer("inner"))]
    assert private.layers_of(private.maker_of(keras.ops.relu(keras.Input((2,))))) == []


def test_the_record_of_calls():
    x, dense = keras.Input((4,)), kl.Dense(2)
    first, second = dense(x), dense(keras.ops.relu(x))
    assert private.maker_of(first) is private.maker_of(second) is dense
    assert private.maker_of(np.ones(2)) is None
    assert private.call_of(first).input_tensors[0] is x
    assert private.call_of(second).output_tensors[0] is second
    assert private.last_call_of(dense) is private.call_of(second)
    assert tuple(private.call_of(first).arguments.args) == (x,)
    assert private.call_of(first).operation is dense


def test_the_calls_inside_in_the_order_of_computing():
    net, chain = model(), keras.Sequential([keras.Input((3,)), kl.Dense(2, name="one"), kl.ReLU(name="two")])
    names = [call.operation.name for call in private.calls_inside(net)]
    assert [name for name in names if name != "x"] == ["inner", "head"]
    assert [call.operation.name for call in private.calls_inside(chain)][-2:] == ["one", "two"]
    assert private.calls_inside(kl.Dense(2)) == []


def test_later_calls_are_taken_back():
    net = model()
    x = net.inputs[0]
    before = private.Calls([net])
    net.get_layer("head")(keras.Input((3,)))
    net.get_layer("inner")(keras.ops.relu(x))
    before.restore()
    assert private.last_call_of(net.get_layer("head")) is private.call_of(net.outputs[0])
    assert (
        private.call_of(net.outputs[0]).input_tensors[0]
        is private.call_of(private.call_of(net.outputs[0]).input_tensors[0]).output_tensors[0]
    )


def test_masks():
    ids = keras.Input((5,), dtype="int32")
    masked = kl.Embedding(7, 3, mask_zero=True)(ids)
    assert private.mask_of(masked) is not None
    assert private.mask_of(ids) is None
    plain = keras.Input((5, 3))
    private.set_mask(plain, private.mask_of(masked))
    assert private.mask_of(plain) is private.mask_of(masked)
    private.set_mask(plain, None)
    assert private.mask_of(plain) is not None
    assert private.reads_mask(kl.LSTM(2))
    assert not private.reads_mask(kl.Dense(2))


def test_classes_of_applications():
    assert not private.is_of_applications(kl.Dense)
    # A layer that only `keras.applications` has: the scale of ConvNeXt.
    net = keras.applications.ConvNeXtTiny(weights=None, input_shape=(32, 32, 3), classes=2)
    assert any(private.is_of_applications(type(layer)) for layer in private.layers_of(net))


@pytest.mark.parametrize(
    "make", [lambda: kl.Dense(2), lambda: kl.LSTM(2), lambda: kl.MultiHeadAttention(1, 2)]
)
def test_parts_are_all_that_a_layer_holds(make):
    layer = make()
    x = keras.Input((3, 4))
    layer(x, x) if isinstance(layer, kl.MultiHeadAttention) else layer(x)
    held = set()
    for part in private.parts_of(layer):
        held |= {
            id(v) for v in ([part] if isinstance(part, keras.Variable) else getattr(part, "variables", []))
        }
    assert {id(v) for v in layer.variables} <= held


def test_a_layer_takes_up_parts_and_is_locked():
    layer = kl.Layer()
    private.unlock(layer)
    weight = keras.Variable(np.ones(2, "float32"))
    private.take_up(layer, weight)
    private.take_up(layer, inner := kl.Dense(2))
    assert [id(v) for v in layer.variables] == [id(weight)]
    assert inner in private.layers_of(layer)
    private.lock(layer)
    with pytest.raises(ValueError, match="cannot add new"):
        layer.another = kl.Dense(2)


def test_what_copies_take_over():
    dense = kl.Dense(2)
    dense.build((None, 3))
    other = kl.Dense(2)
    private.copy_build_shapes(dense, other)
    assert other.get_build_config() == dense.get_build_config()
    assert {"units", "activation"} <= {*private.attributes_of(dense)}
    assert private.autocast_of(dense.kernel) is True
    private.set_path(dense.kernel, "elsewhere/kernel")
    assert dense.kernel.path == "elsewhere/kernel"
    assert private.BOOKKEEPING & {*vars(dense)}


def test_windows_of_attention():
    assert private.sliding_window_of(kl.MultiHeadAttention(1, 2)) is None


@pytest.mark.parametrize("epoch", [0, 2])
def test_a_training_begins_where_it_is_told_to(epoch):
    begun = []

    class Begins(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            private.set_initial_epoch(self.model, epoch)

        def on_epoch_begin(self, epoch, logs=None):
            begun.append(epoch)

        def on_train_batch_end(self, batch, logs=None):
            private.sync_state(self.model)
            steps.append(int(self.model.optimizer.iterations))

    steps: list[int] = []
    net = keras.Sequential([keras.Input((2,)), kl.Dense(1)])
    net.compile("sgd", "mse")
    net.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=3, batch_size=2, verbose=0, callbacks=[Begins()])
    assert begun == [*range(epoch, 3)]
    assert steps == [*range(1, 2 * len(begun) + 1)]


def test_einsum_in_lower_case():
    x, y = keras.KerasTensor((None, 2, 3, 5)), keras.KerasTensor((None, 7, 4, 5))
    before = keras.ops.einsum("abcd,aefd->abcef", x, y)
    with private.lower_case_einsum():
        found = keras.ops.einsum("bhwc,bHWc->bhwHW", x, y)
        assert found.shape == before.shape == (None, 2, 3, 7, 4)
        assert private.maker_of(found).subscripts == "bhwc,badc->bhwad"
