"""What is known about a class holds for a subclass only if that computes the same."""

import keras
import pytest
from keras import layers as kl
from keras.src.applications import convnext

from kqat.lowering.inherited import computes_own, is_own_layer, known_class
from kqat.lowering.registry import _LOWERINGS, lowering_for
from kqat.lowering.treatment import _TREATMENTS, is_a, treatment_for


class Named(kl.Dense):
    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)

    def get_config(self):
        return {**super().get_config(), "more": 1}

    def compute_output_shape(self, input_shape):
        return super().compute_output_shape(input_shape)


class Doubled(kl.Dense):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Hooked(kl.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, -kernel)


class Flat(kl.Conv2D):
    @property
    def kernel(self):
        return self._kernel * 0


class Later(Doubled):
    pass


class Normalized(kl.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return inputs


class Own(kl.Layer):
    def call(self, x):
        return x


@pytest.mark.parametrize("cls", [Doubled, Hooked, Flat, Later, Normalized, Own])
def test_classes_that_compute_something_of_their_own(cls):
    assert computes_own(cls)
    assert known_class(cls, {kl.Dense, kl.Conv2D, kl.BatchNormalization}) is None


def test_classes_that_compute_what_their_parent_does():
    assert not computes_own(Named)
    assert known_class(Named, {kl.Dense}) is kl.Dense
    assert treatment_for(Named(3)) == treatment_for(kl.Dense(3))
    assert lowering_for(Named(3)) is lowering_for(kl.Dense(3))
    assert not computes_own(kl.Dense)


def test_a_registered_class_of_the_users_is_known_until_a_subclass_changes_it():
    assert known_class(Later, {Doubled}) is Doubled
    changed = type("Changed", (Doubled,), {"call": lambda self, x: x, "__module__": "mine"})
    assert known_class(changed, {Doubled}) is None


def test_models_and_operations_are_no_layers_of_the_users():
    assert not is_own_layer(keras.Sequential())
    assert not is_own_layer(type("Mine", (keras.Model,), {"call": lambda self, x: x})())
    assert is_own_layer(Own())


def test_the_layers_of_applications_count_as_own():
    assert computes_own(convnext.LayerScale)


def test_a_class_is_recognized_unless_it_was_changed():
    assert is_a(kl.BatchNormalization(), kl.BatchNormalization)
    assert not is_a(Normalized(), kl.BatchNormalization)
    assert not is_a(kl.Dense(2), kl.BatchNormalization)


def _layers_of_keras() -> list[type]:
    found = (getattr(kl, name) for name in dir(kl))
    return [cls for cls in found if isinstance(cls, type) and issubclass(cls, kl.Layer)]


@pytest.mark.parametrize("known", [_TREATMENTS, _LOWERINGS[8], _LOWERINGS[16]])
def test_no_layer_of_keras_is_taken_for_its_parent(known):
    """One with a `call` of its own is another layer, unless it is registered itself."""
    for cls in _layers_of_keras():
        found = known_class(cls, known)
        between = [] if found is None else cls.__mro__[: cls.__mro__.index(found)]
        assert not [one for one in between if "call" in vars(one)], (cls, found)


def test_subclasses_of_keras_that_compute_something_else():
    for cls in (kl.ConvLSTM1D, kl.ConvLSTM2D, kl.ConvLSTM3D):
        assert known_class(cls, {kl.RNN}) is None
    assert known_class(kl.Conv2D, {kl.Layer}) is None
    assert known_class(kl.Bidirectional, {kl.Wrapper, kl.Bidirectional}) is kl.Bidirectional
