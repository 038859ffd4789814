"""A step of calibration, added from outside: other scales of weights, kept where the outputs come nearer."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.core.weight_scales import mse_scale
from tests.exactness import images
from tests.transforms import zoo


def scale_of(q):
    return ops.convert_to_numpy(q.get_layer("b").weight_quantizers["kernel"].grid().scale)


def much_finer(weight):
    return 0.1 * weight.scale


def of_least_error(weight):
    return mse_scale(weight.values, weight.quantizer.bits, weight.quantizer.axis, True)


@pytest.mark.parametrize(("choose", "kept"), [(much_finer, False), (of_least_error, True)])
def test_a_step_is_one_file(choose, kept, capsys):
    keras.utils.set_random_seed(0)
    seen = []

    @kqat.ptq.step("other scales")
    def other_scales(work):
        for weight in work.weights():
            seen.append(weight.layer.name)
            weight.quantizer.set_scale(choose(weight))

    model = zoo.randomize(zoo.chain((6,), kl.Dense(8, "relu", name="a"), kl.Dense(8, name="b"), kl.Dense(3)))
    x, options = images(64, 6), {"observer": "minmax"}  # which leaves the scales of the weights as they start
    before = kqat.calibrate(kqat.quantize(model, 4), x, effort=[], verbose=0, **options)
    q = kqat.calibrate(kqat.quantize(model, 4), x, effort=["other scales"], verbose=1, **options)
    assert seen == ["b"]  # of 4 bits; the first and the last layer keep 8
    assert "other scales" in capsys.readouterr().out
    assert np.array_equal(scale_of(q), scale_of(before)) == (not kept)
    assert kqat.verify(q, kqat.export_tflite(q), x).exact
