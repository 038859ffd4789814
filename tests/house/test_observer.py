"""An observer of activations, added from outside: three standard deviations."""

import numpy as np
import pytest
from keras import layers as kl

import kqat
from tests.exactness import images
from tests.transforms import zoo


class ThreeSigma(kqat.observers.Observer):
    def __init__(self):
        super().__init__()
        self.count, self.squares = 0, 0.0

    def _observe(self, x, low, high):
        self.count, self.squares = (
            self.count + x.size,
            self.squares + float(np.square(x, dtype=np.float64).sum()),
        )

    def _ends(self, bits, signed, narrow_range):
        top = 3 * np.sqrt(self.squares / self.count)
        return (-top if self.has_negative else 0.0), top


def test_an_observer_is_one_file():
    kqat.observers.register("three_sigma")(ThreeSigma)
    x = images(64, 6)
    q = kqat.quantize(zoo.randomize(zoo.chain((6,), kl.Dense(3, name="a"))), 8)
    kqat.calibrate(q, x, observer="three_sigma", verbose=0)
    grid = q.get_layer("input_layer_quant").quantizer.grid()
    width = float(grid.scale) * (float(grid.qmax) - float(grid.qmin))
    np.testing.assert_allclose(width, 6 * np.sqrt(np.mean(np.square(x))), rtol=1e-5)
    assert kqat.verify(q, kqat.export_tflite(q), x).exact


def test_other_classes_are_refused():
    with pytest.raises(TypeError, match="derived from Observer"):
        kqat.observers.register("dense")(kl.Dense)
