"""Clipping of latent weights."""

import keras
import numpy as np
import pytest
from keras import ops

from kqat import constraints


def test_weights_are_clipped():
    clip = constraints.WeightClip(0.5)
    np.testing.assert_array_equal(ops.convert_to_numpy(clip(np.array([-2, -0.5, 0.1, 3], "float32"))),
                                  np.array([-0.5, -0.5, 0.1, 0.5], "float32"))  # fmt: skip


def test_names_and_configurations():
    assert constraints.get("weight_clip").clip_value == 1.0
    copy = constraints.get(keras.constraints.serialize(constraints.WeightClip(2.0)))
    assert copy.clip_value == 2.0
    assert constraints.get(None) is None
    assert isinstance(constraints.get("max_norm"), keras.constraints.MaxNorm)


@pytest.mark.parametrize("value", [0, -1.0])
def test_there_must_be_room(value):
    with pytest.raises(ValueError, match="Use a positive number"):
        constraints.WeightClip(value)
