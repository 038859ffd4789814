"""Layers of signs placed by hand in files for LiteRT: comparisons, and float kernels on signs."""

import keras
import numpy as np
import pytest

import kqat
from kqat.core.errors import ExportError
from kqat_runtime.running.runtime import Runtime
from tests.export.binary import nets


def mismatches(model):
    nets.train(model)
    x = nets.data(model)
    (found,) = Runtime(kqat.export_tflite(model).content).run([x])
    return int(np.sum(found != keras.ops.convert_to_numpy(model(x, training=False))))  # whole numbers


@pytest.mark.parametrize(
    "net", [nets.flattened, nets.sequence, nets.thresholds], ids=lambda net: net.__name__
)
def test_nets_compute_the_same(net):
    assert mismatches(net()) == 0


@pytest.mark.parametrize("convolution", ["same", "one", "one, strided"])
def test_borders_compute_the_same(convolution):
    assert mismatches(nets.between("bn", convolution)) == 0


def test_heaviside_computes_the_same():
    assert mismatches(nets.chain(nets.conv(5, input_quantizer="ste_heaviside"))) == 0


@pytest.mark.parametrize("activation", ["ste_sign", "ste_heaviside", "rsign"])
def test_activations_that_are_steps_compute_the_same(activation):
    assert mismatches(nets.chain(nets.conv(5, activation=activation), nets.conv(4))) == 0


def test_an_activation_without_a_form_is_an_error():
    with pytest.raises(ExportError, match="/activation' has no form in a file. Received: SteTern"):
        kqat.export_tflite(nets.chain(nets.conv(4, activation="ste_tern")))


def test_a_quantizer_without_a_form_is_an_error():
    model = nets.chain(nets.conv(4, input_quantizer="ste_tern"))
    with pytest.raises(ExportError, match="SteTern. Use one that rounds to a grid"):
        kqat.export_tflite(model)
