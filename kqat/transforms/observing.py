"""Runs a quantized model in float, and shows what every quantizer would round."""

import contextlib
from collections.abc import Callable

import keras

from kqat.layers.fake_quant import FakeQuant
from kqat.layers.quantized import Quantized
from kqat.ops.arrays import as_numpy


def quantized_layers(model) -> tuple[list[FakeQuant], list[Quantized]]:
    """Returns the `FakeQuant` and the `Quantized` layers of a model, nested ones included."""
    fake_quants, wrapped = [], []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            inner = quantized_layers(layer)
            fake_quants, wrapped = fake_quants + inner[0], wrapped + inner[1]
        elif isinstance(layer, FakeQuant):
            fake_quants.append(layer)
        elif isinstance(layer, Quantized):
            wrapped.append(layer)
    return fake_quants, wrapped


@contextlib.contextmanager
def observing(fake_quants: list[FakeQuant], wrapped: list[Quantized], look: Callable):
    """Lets eager calls run in float, and hands `look(fake_quant, values)` what they are given."""

    def see(fake_quant, x):
        look(fake_quant, as_numpy(x))
        return x

    for layer in fake_quants:
        layer.observe_with(see)
    for layer in wrapped:
        layer.observing = True
    try:
        yield
    finally:
        for layer in fake_quants:
            layer.observe_with(None)
        for layer in wrapped:
            layer.observing = False
