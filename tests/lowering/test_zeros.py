"""Zeros and ones in the shape of a tensor, for a batch of any size."""

import pytest
from keras import layers as kl
from keras import ops

from tests.exactness import assert_exact, branches, images


@pytest.mark.parametrize("bits", [8, 4, (8, 16)], ids=str)
def test_files_compute_what_models_compute(bits, tmp_path):
    def chosen(x):
        y = kl.Dense(6)(x)
        return kl.Dense(3)(ops.where(y > 0.2, ops.zeros_like(y), y))

    def counted(x):
        y = kl.Dense(6)(x)
        return kl.Dense(3)(ops.ones_like(y) - y)

    assert_exact(branches((5, 8), [chosen, counted]), bits, images(16, 5, 8), saved=tmp_path / "m.keras")
