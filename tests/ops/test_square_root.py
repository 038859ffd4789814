"""The square root is correctly rounded, eager and compiled."""

import numpy as np
import pytest
from keras import ops

from kqat.ops.square_root import square_root
from tests.lowering.parity import compiled, optimized

X = np.exp(np.random.default_rng(0).uniform(-40, 40, 200_003)).astype(np.float32)


@pytest.mark.parametrize("how", [lambda function: function, compiled, optimized])
def test_every_bit(how):
    x = np.concatenate([X, np.float32([0, 1, 4, 2.0**-126, 3e38])])
    y = ops.convert_to_numpy(how(square_root)(ops.convert_to_tensor(x)))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.sqrt(x))
