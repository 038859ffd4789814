"""Keras 3 models in Larq Compute Engine's own interpreter, and its operators against their golden form."""

import numpy as np
import pytest

import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)

pytest.importorskip("larq_compute_engine")  # `make larq` has an environment with it

import keras

from kqat_runtime.running.binary import BinaryRuntime
from kqat_runtime.running.lce import LceRuntime
from tests.export.binary import nets
from tests.export.binary.quantized_nets import IMAGES, float_net, prepared


def check(model):
    """The interpreter and the golden operators give the sums of the model: whole numbers, the very same."""
    nets.train(model)
    export, x = kqat.export_lce(model), nets.data(model)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    for runtime in (LceRuntime, BinaryRuntime):
        (found,) = runtime(export.content).run([x])
        assert int(np.sum(found != expected)) == 0, runtime.__name__


@pytest.mark.parametrize("convolution", nets.CONVOLUTIONS)
@pytest.mark.parametrize("order", nets.ORDERS)
def test_every_order_of_layers_computes_the_same(order, convolution):
    check(nets.between(order, convolution))


@pytest.mark.parametrize("order", nets.ORDERS)
def test_readers_that_pad_compute_the_same(order):
    for convolution in ("same", "one"):
        check(nets.between(order, "valid", convolution))


@pytest.mark.parametrize("net", nets.WHOLE, ids=lambda net: net.__name__)
def test_nets_compute_the_same(net):
    check(net())


def test_a_model_of_quantize_computes_the_same():
    model = kqat.calibrate(kqat.quantize(prepared(float_net()), bits=1), IMAGES)
    report = kqat.verify(model, kqat.export_lce(model), IMAGES)
    # The interpreter rounds int8 results of binary convolutions in another order of operations than Keras.
    assert report.max_lsb <= 1
    assert report.outputs[0].unequal <= 0.01 * report.outputs[0].values
    assert report.top1_agreement == 1.0
