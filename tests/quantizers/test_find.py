"""Every quantizer is found once, whatever holds it, under a name that is unique."""

import keras

from kqat import layers, quantizers
from kqat.quantizers.find import find, layers_of


class Holder(keras.layers.Layer):
    """A layer that keeps quantizers in every way that layers do."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.quantizer = quantizers.MovingAverage()
        self.input_quantizer = quantizers.LSQ()
        self.weight_quantizers = {"kernel": quantizers.MinMax()}
        self.steps = [keras.Sequential([quantizers.FixedRange(name="inner")], name="nested")]

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(2, 2), name="kernel")

    def call(self, x):
        return x


def test_paths_roles_and_owners():
    holder = Holder(name="holder")
    holder.build((None, 2))
    places = {place.path: place for place in find(holder)}
    assert set(places) == {"moving_average", "input", "kernel", "nested/inner"}
    assert places["kernel"].weight is holder.kernel
    assert places["moving_average"].weight is None
    assert places["input"].quantizer is holder.input_quantizer


def test_in_a_model_paths_start_at_the_layer():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, Holder(name="b")(Holder(name="a")(inputs)))
    assert [place.path for place in find(model)] == [
        f"{name}{rest}" for name in "ab" for rest in ("", "/input", "/kernel", "/nested/inner")
    ]


def test_shared_quantizer_is_found_once():
    shared = quantizers.MovingAverage()
    inputs = keras.Input((2,))
    model = keras.Model(inputs, shared(shared(inputs)))
    assert [place.quantizer for place in find(model)] == [shared]


def test_subclassed_model():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.block = Holder(name="block")

    assert len(find(Net())) == 4


def test_equal_names_are_told_apart():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [Holder(name="part"), Holder(name="part")]

    paths = [place.path for place in find(Net())]
    assert len(paths) == len(set(paths)) == 8


def test_cycles_end():
    outer = Holder(name="outer")
    inner = keras.layers.Layer(name="inner")
    outer.inner, inner.outer = inner, outer
    assert [path for _, path in layers_of(outer)].count("inner") == 1


def test_model_without_quantizers():
    assert find(keras.Sequential([keras.layers.Dense(2)])) == []


def test_kernels_of_separable_layers_are_found():
    layer = layers.QuantSeparableConv2D(2, 3, depthwise_quantizer="ste_sign", pointwise_quantizer="ste_tern")
    layer.build((None, 5, 5, 3))
    places = {place.role: place.weight for place in find(layer)}
    assert places == {"depthwise": layer.depthwise_kernel, "pointwise": layer.pointwise_kernel}
