"""MinMax: the grid of the weights of the moment."""

import numpy as np
import pytest
from keras import ops

from kqat import quantizers
from kqat.core import reference
from tests.gradients import compiled, gradient
from tests.quantizers.cases import data, numpy, numpy_grid


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
@pytest.mark.parametrize("axis", [None, (-1,), (0, 1)])
@pytest.mark.parametrize("narrow", [True, False])
def test_grid_and_output_are_the_reference(bits, axis, narrow):
    quantizer, w = quantizers.MinMax(bits, axis, narrow), data()
    w[..., 1] = 0
    grid, expected = numpy_grid(quantizer, w), reference.symmetric_grid(w, bits, axis, narrow)
    np.testing.assert_array_equal(grid.scale, expected.scale)
    assert (grid.qmin, grid.qmax) == (expected.qmin, expected.qmax)
    y = numpy(compiled(lambda w: quantizer(w))(ops.convert_to_tensor(w)))
    np.testing.assert_array_equal(y, reference.minmax(w, bits, axis, narrow))


def test_gradient_reaches_every_weight_also_the_largest():
    w, dy = data(), data(1)
    (dw,) = gradient(quantizers.MinMax(3, axis=-1), w, upstream=dy)
    np.testing.assert_array_equal(dw, dy)


def test_the_grid_needs_the_weights():
    with pytest.raises(ValueError, match="Received: x=None"):
        quantizers.MinMax().grid()


def test_one_bit_is_refused_with_advice():
    with pytest.raises(ValueError, match="For 1 bit use kqat.quantizers.Sign"):
        quantizers.MinMax(1)
