"""A check of finished files, added from outside: a limit on the size of one layer."""

import pytest
from keras import layers as kl

import kqat
from tests.exactness import images
from tests.transforms import zoo


def no_large_weights(file, program):
    """Refuses files with a weight of more than 64 bytes."""
    for weights in program.weights:
        size = len(file.tensors[weights.index].data)
        if size > 64:
            raise kqat.errors.ExportError(f"Layer '{weights.layer}' is too large. Received: {size} bytes.")


def test_a_check_is_one_file():
    small, large = (zoo.randomize(zoo.chain((6,), kl.Dense(n, name="wide"))) for n in (8, 16))
    kqat.checks.register(no_large_weights)
    q = kqat.calibrate(kqat.quantize(small), images(16, 6), verbose=0)
    assert kqat.verify(q, kqat.export_tflite(q), images(16, 6)).exact
    q = kqat.calibrate(kqat.quantize(large), images(16, 6), verbose=0)
    with pytest.raises(kqat.errors.ExportError, match="'wide' is too large. Received: 96 bytes"):
        kqat.export_tflite(q)
