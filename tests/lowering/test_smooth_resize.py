"""Bicubic and antialiased resizing: Keras against the runtime, and against the float operation."""

import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import kqat
from kqat.lowering.registry import lowering_for
from kqat.lowering.smooth_resize import SmoothResizing
from tests.exactness import assert_exact, branches, images, reloaded
from tests.lowering import harness
from tests.lowering.harness import grid, samples
from tests.lowering.parity import check

SHAPE = (3, 6, 7, 3)
FORMS = [
    ("bicubic", False, 9, 14),
    ("bicubic", True, 3, 4),
    ("bilinear", True, 4, 3),
    ("bicubic", False, 6, 7),
]


@pytest.mark.parametrize(("interpolation", "antialias", "height", "width"), FORMS)
def test_levels(interpolation, antialias, height, width):
    layer = SmoothResizing(height, width, interpolation, antialias)
    layer.build(SHAPE)
    for source, target in ((grid(8, 0.1, qmin=-77), grid(8, 0.11)), (grid(4, 0.5), grid(4, 0.5))):
        levels = samples(np.random.default_rng(0), source, SHAPE)
        step = check(layer, (source,), target, levels, compile=height == 9)
        ours = harness.keras_levels(lowering_for(layer), step, levels)
        # Weights are rounded to 2^-10 and rows to a quarter of a level: a fifth of a level in all.
        exact = ops.convert_to_numpy(layer(levels * source.scale)) / target.scale
        assert np.abs(ours - np.clip(exact, target.qmin, target.qmax)).max() <= 0.75


@pytest.mark.parametrize("bits", [8, pytest.param(4, marks=pytest.mark.repeats), (8, 16)])
def test_between_weighted_layers(bits, tmp_path):
    functions = [
        kl.Resizing(9, 5, interpolation="bicubic"),
        kl.Resizing(3, 4, antialias=True),
        kl.UpSampling2D(2, interpolation="bicubic"),
        lambda y: ops.image.resize(y, (4, 9), interpolation="bicubic", antialias=True),
    ]
    model = branches((6, 6, 3), [lambda x, f=f: kl.Conv2D(3, 2)(f(kl.Conv2D(4, 1)(x))) for f in functions])
    assert not kqat.plan(model, bits).float_layers
    x = images(6, 6, 6, 3)
    q, export = assert_exact(model, bits, x)
    assert kqat.verify(reloaded(q, tmp_path / "model.keras"), export, x).mismatches == 0
    bare = kqat.strip_fake_quant(q)
    for a, b in zip(bare(x, training=False), model(x, training=False), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))
