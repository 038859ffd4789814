"""A quantizer of weights, added from outside: scales that are powers of two."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.quantizers import MinMax
from tests.exactness import images
from tests.transforms import zoo


@keras.saving.register_keras_serializable("house")
class PowerOfTwo(MinMax):
    """`MinMax` whose scale is the next larger power of two: what shifts can multiply with."""

    def grid(self, x=None):
        grid = super().grid(x)
        return type(grid)(ops.power(2.0, ops.ceil(ops.log2(grid.scale))), grid.qmin, grid.qmax)


def model():
    return zoo.randomize(zoo.chain((6,), kl.Dense(8, "relu", name="a"), kl.Dense(3, name="b")))


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantizer_is_one_file(bits, tmp_path):
    kqat.quantizers.register("power_of_two")(PowerOfTwo)
    x = images(64, 6)
    q = kqat.calibrate(kqat.quantize(model(), bits, quantizer="power_of_two"), x, verbose=0)
    kernels = [layer.weight_quantizers["kernel"] for layer in q.layers if hasattr(layer, "weight_quantizers")]
    assert [type(quantizer) for quantizer in kernels] == [PowerOfTwo, PowerOfTwo]
    q.compile("sgd", "mse")
    q.fit(x, np.zeros((64, 3)), verbose=0)
    again = zoo.reloaded(q, tmp_path)
    report = kqat.verify(again, kqat.export_tflite(again), x)
    assert report.exact, report
    layer = again.get_layer("a")
    scale = ops.convert_to_numpy(layer.weight_quantizers["kernel"].grid(layer.operation.kernel).scale)
    np.testing.assert_array_equal(np.log2(scale), np.rint(np.log2(scale)))


def test_the_plan_names_it_and_can_be_followed():
    kqat.quantizers.register("power_of_two")(PowerOfTwo)
    net = model()
    plan = kqat.plan(net, 4, quantizer="power_of_two")
    assert {w.quantizer for layer in plan for w in layer.weights.values()} == {"power_of_two"}
    q = kqat.quantize(net, recipe=kqat.Plan.from_json(plan.to_json()))
    assert type(q.get_layer("a").weight_quantizers["kernel"]) is PowerOfTwo


def test_names_of_kqats_own_are_taken():
    for name in ("lsq", "auto"):
        with pytest.raises(ValueError, match=f"Received: '{name}'"):
            kqat.quantizers.register(name)(PowerOfTwo)
    with pytest.raises(TypeError, match="derived from"):
        kqat.quantizers.register("other")(kl.Dense)
