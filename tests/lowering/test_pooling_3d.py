"""Parity: pooling over three dimensions."""

import numpy as np
import pytest
from keras import layers

from tests.few import few_on_jax
from tests.lowering.harness import grid, samples
from tests.lowering.parity import check, float_error

SHAPE = (2, 5, 6, 7, 3)
LAYERS = {
    "maximum": lambda: layers.MaxPooling3D(2),
    "maximum same": lambda: layers.MaxPooling3D((3, 2, 1), strides=(2, 1, 3), padding="same"),
    "maximum overlapping": lambda: layers.MaxPooling3D((2, 3, 2), strides=1),
    "largest of all": lambda: layers.GlobalMaxPooling3D(keepdims=True),
    "mean of all": lambda: layers.GlobalAveragePooling3D(),
}


@pytest.mark.parametrize("case", few_on_jax(LAYERS, "maximum same", "largest of all", "mean of all"))
def test_every_pooling(case):
    layer = LAYERS[case]()
    for low in (-128, -30, 0):
        source = grid(8, 0.05, qmin=low)
        target = grid(8, 0.0531, qmin=low) if case == "mean of all" else source
        check(layer, (source,), target, samples(np.random.default_rng(0), source, SHAPE), compile=low == -30)
    x = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    # Only a mean rounds: of 210 values, in another order.
    assert float_error(layer, x) <= (1e-6 if case == "mean of all" else 0)
