"""Transposes of many dimensions: channel and pixel shuffles, window partitions."""

import pytest
from keras import layers, ops

from tests.exactness import assert_exact, branches, images
from tests.few import few_on_jax


def window_partition(x):
    y = ops.reshape(x, (-1, 2, 2, 2, 2, 6))
    return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 4, 24))


TURNS = {
    "channel shuffle": lambda x: layers.Permute((1, 2, 4, 3))(layers.Reshape((4, 4, 2, 3))(x)),
    "pixel shuffle": lambda x: ops.transpose(
        ops.reshape(x[..., :4], (-1, 4, 4, 2, 2, 1)), (0, 1, 3, 2, 4, 5)
    ),
    "window partition": window_partition,
    "swapped": lambda x: ops.swapaxes(ops.reshape(x, (-1, 2, 2, 4, 3, 2)), 1, 4),
    "moved": lambda x: ops.moveaxis(ops.reshape(x, (-1, 2, 2, 2, 2, 6)), (1, 5), (4, 2)),
    "six axes that stay together": lambda x: ops.transpose(
        ops.reshape(x, (-1, 2, 2, 2, 2, 3, 2)), (0, 3, 4, 1, 2, 6, 5)
    ),
    "seven axes, one by one": lambda x: ops.transpose(
        ops.reshape(x, (-1, 2, 2, 2, 2, 2, 3)), (0, 6, 3, 5, 1, 4, 2)
    ),
    "eight axes": lambda x: ops.transpose(
        ops.reshape(x, (-1, 2, 2, 2, 2, 2, 3, 1)), (0, 6, 3, 5, 7, 1, 4, 2)
    ),
}


@pytest.mark.parametrize("bits", few_on_jax([8, 4, (8, 16)], 4))
def test_every_rank(bits, tmp_path):
    functions = [
        lambda x, f=f: layers.Dense(2)(layers.Flatten()(f(layers.Dense(6)(x)))) for f in TURNS.values()
    ]
    saved = tmp_path / "model.keras" if bits == 8 else None
    assert_exact(branches((4, 4, 6), functions), bits, images(8, 4, 4, 6), saved=saved)
