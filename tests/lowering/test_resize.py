"""Parity: image resizing against the runtime, level for level."""

import numpy as np
import pytest
from keras import layers, ops

import kqat
from kqat.errors import UnsupportedError
from kqat.lowering.base import Step
from kqat.lowering.registry import lowering_for
from tests.exactness import assert_exact, branches, calibrated, images
from tests.few import few_on_jax
from tests.lowering.harness import grid, samples, write
from tests.lowering.parity import check, float_error, is_delegated, record

SHAPE = (2, 5, 7, 3)
SIZES = [(10, 14), (8, 9), (3, 4), (15, 21), (11, 13), (1, 1), (20, 28), (5, 7)]


def levels_of(grid, shape=SHAPE):
    return samples(np.random.default_rng(0), grid, shape)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", few_on_jax(SIZES, (8, 9), (11, 13), (1, 1)))
def test_resizing(size, interpolation):
    layer = layers.Resizing(*size, interpolation=interpolation)
    for source in (grid(8, 0.1, qmin=-77), grid(4, 0.1, signed=False), grid(2, 0.1)):
        check(layer, (source,), source, levels_of(source), compile=False)
    # The two round coordinates and products differently, numbers are below 8.
    assert float_error(layer, levels_of(source)) <= 1e-5


def test_every_pair_of_neighbors():
    first, second = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    levels = np.stack([first, second], -1).reshape(256, 256, 2, 1).astype(np.float32)
    for width in (3, 4, 7):
        layer = layers.Resizing(256, width, interpolation="bilinear")
        check(layer, (grid(),), grid(), levels[None, :, 5], compile=False)
        check(layers.Resizing(2, width), (grid(),), grid(), levels[:, :2], compile=width == 7)


@pytest.mark.parametrize("layer", [layers.UpSampling2D((2, 3)), layers.UpSampling1D(2)])
def test_repetition(layer):
    shape = SHAPE if isinstance(layer, layers.UpSampling2D) else SHAPE[1:]
    for source in (grid(8, 0.1, qmin=-77), grid(4, 0.1, signed=False)):
        step = check(layer, (source,), source, levels_of(source, shape), compile=False)
    assert is_delegated(step, (None, *shape[1:]))
    assert float_error(layer, levels_of(source, shape)) == 0


def test_bilinear_upsampling_onto_another_grid():
    layer, source = layers.UpSampling2D(2, interpolation="bilinear"), grid(8, 0.1)
    step = check(layer, (source,), grid(8, 0.083), levels_of(source))
    assert is_delegated(step, (None, *SHAPE[1:]))


def test_operation():
    op, args, kwargs = record(lambda x: ops.image.resize(x, (9, 6)), SHAPE)
    check(op, (grid(),), grid(), levels_of(grid()), args=args, kwargs=kwargs, compile=False)


@pytest.mark.parametrize("options", [{"interpolation": "bicubic"}, {"antialias": True}])
def test_other_methods_are_refused(options):
    layer = layers.Resizing(4, 4, **options)
    with pytest.raises(UnsupportedError, match="cannot be lowered"):
        write(lowering_for(layer), Step(layer, (grid(),), grid()), (None, *SHAPE[1:]))


def test_comparing_layers_finds_the_resized_image():
    """The file names the image that is on the output grid, not the one before it is put there."""
    x = images(16, 6, 6, 4, scale=0.5)
    model = branches((6, 6, 4), [lambda y: layers.Dense(3)(layers.Flatten()(layers.Resizing(5, 7)(y)))])
    q = calibrated(model, 8, x)
    report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), 3 * x, layers=True)
    assert [layer.layer for layer in report.layers if "resizing" in layer.layer]
    assert not [layer for layer in report.layers if layer.mismatches]


def test_operation_between_weighted_layers():
    model = branches((6, 6, 4), [lambda y: layers.Conv2D(3, 2)(ops.image.resize(layers.Dense(4)(y), (5, 7)))])
    assert not kqat.plan(model).float_layers
    assert_exact(model, 8, images(8, 6, 6, 4))
