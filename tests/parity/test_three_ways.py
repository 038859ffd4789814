"""Parity: Keras, NumPy and the runtime compute the same levels, operation by operation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

from kqat.core import integer_functions as functions
from kqat.core import integer_reference as numpy_side
from kqat.core import integer_windows as windows
from kqat.core.grid import Grid
from kqat.core.integer_functions import PROBABILITY, SIGNED_UNIT
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.arithmetic import border
from kqat.program.writer import Writer
from tests.lowering.harness import run
from tests.lowering.parity import record
from tests.parity.three_ways import (
    EXAMPLES,
    MANY_EXAMPLES,
    agree,
    every_code,
    every_pair_of_codes,
    grids,
    levels_of,
    scales,
    target_for,
)

SEEDS = st.integers(0, 2**16)


def spread_of(*sources):
    """The largest magnitude on several grids."""
    return max(float(g.scale) * max(float(-g.qmin), float(g.qmax)) for g in sources)


# One tensor: all 256 codes.

UNARY = {
    "linear": numpy_side.requantize,
    "relu": numpy_side.relu,
    "relu6": lambda x, a, b: numpy_side.relu(x, a, b, 6.0),
    "leaky_relu": lambda x, a, b: numpy_side.leaky_relu(x, a, b, 0.2),
    "elu": functions.elu,
    "gelu": functions.gelu,
    "silu": functions.silu,
    "hard_sigmoid": functions.hard_sigmoid,
    "hard_swish": functions.hard_swish,
    "softsign": lambda x, a, b: functions.table(x, lambda v: v / (np.float32(1) + np.abs(v)), a, b),
}
FIXED = {"sigmoid": (functions.logistic, PROBABILITY), "tanh": (functions.tanh, SIGNED_UNIT)}


@pytest.mark.parametrize("name", UNARY)
@MANY_EXAMPLES
@given(st.data())
def test_every_code(name, data):
    source = data.draw(grids(data.draw(scales(0.01, 0.5))))
    reach = min(spread_of(source), 1.0) if name in ("hard_sigmoid", "softsign") else spread_of(source)
    target = target_for(data.draw, reach, sources=[source])
    levels = every_code(source)
    agree(layers.Activation(name), [source], target, [levels], UNARY[name](levels, source, target))


@pytest.mark.parametrize("name", FIXED)
@MANY_EXAMPLES
@given(st.data())
def test_every_code_of_functions_with_a_dictated_grid(name, data):
    function, own = FIXED[name]
    source = data.draw(grids(data.draw(scales(0.01, 0.5))))
    target = data.draw(st.sampled_from([own, target_for(data.draw, 1.0)]))
    levels = every_code(source)
    agree(layers.Activation(name), [source], target, [levels], function(levels, source, target))


@EXAMPLES
@given(st.data())
def test_gelu_with_tanh(data):
    source = data.draw(grids(data.draw(scales(0.01, 0.5))))
    target, levels = target_for(data.draw, spread_of(source)), every_code(source)
    op = record(lambda x: ops.gelu(x, approximate=True), (None, 4))[0]
    agree(op, [source], target, [levels], functions.gelu(levels, source, target, approximate=True))


@EXAMPLES
@given(st.data(), st.sampled_from([0.01, 0.1, 0.25, 0.5, 1.0]))
def test_leaky_relu(data, slope):
    source = data.draw(grids())
    target = target_for(data.draw, spread_of(source), sources=[source])
    levels = every_code(source)
    expected = numpy_side.leaky_relu(levels, source, target, slope)
    agree(layers.LeakyReLU(slope), [source], target, [levels], expected)


@EXAMPLES
@given(st.data(), SEEDS)
def test_prelu(data, seed):
    rng = np.random.default_rng(seed)
    layer = layers.PReLU(shared_axes=(1, 2))
    layer.build((None, 4, 4, 5))
    alpha = np.float32([0.0, 1.0, 0.25, -0.3, rng.uniform(0, 0.5)]) * data.draw(st.sampled_from([1, 0, 0.1]))
    layer.alpha.assign(alpha.reshape(1, 1, 5))
    source = data.draw(grids())
    target = target_for(data.draw, spread_of(source), sources=[source])
    levels = levels_of(rng, source, (16, 4, 4, 5))
    agree(layer, [source], target, [levels], numpy_side.prelu(levels, source, target, alpha))


@EXAMPLES
@given(st.data(), SEEDS)
def test_softmax(data, seed):
    source = data.draw(grids(data.draw(scales(0.01, 0.5))))
    target = data.draw(
        st.sampled_from([PROBABILITY, Grid(np.float32(1 / 16), np.float32(0), np.float32(15))])
    )
    levels = levels_of(np.random.default_rng(seed), source, (200, data.draw(st.sampled_from([2, 10, 33]))))
    agree(layers.Softmax(), [source], target, [levels], functions.softmax(levels, source, target))


@MANY_EXAMPLES
@given(st.data(), SEEDS)
def test_quantize(data, seed):
    grid = data.draw(grids())
    rng = np.random.default_rng(seed)
    halves = (np.arange(-300, 300) + 0.5) * grid.scale
    x = np.concatenate([halves, rng.normal(0, 60, 1000) * grid.scale, [1e9, -1e9, 0.0]]).astype(np.float32)[
        None
    ]
    writer = Writer()
    given_x = writer.input("x0", (1, x.size))
    out = border.write_quantize(writer, given_x, grid, "y")
    codes = (
        run(to_tflite(writer.program([given_x], [out], output_names=["y"])), x).astype(int) - out.zero_point
    )
    ours = ops.convert_to_numpy(border.quantize_forward(ops.convert_to_tensor(x), grid))
    expected = numpy_side.quantize(x, grid)
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(np.rint(ours / grid.scale).astype(int), expected)


# Two tensors: all pairs of codes.

MERGES = {
    "add": (layers.Add, numpy_side.add),
    "subtract": (layers.Subtract, numpy_side.subtract),
    "multiply": (layers.Multiply, numpy_side.multiply),
    "maximum": (layers.Maximum, numpy_side.maximum),
    "minimum": (layers.Minimum, numpy_side.minimum),
}


@pytest.mark.parametrize("name", MERGES)
@EXAMPLES
@given(st.data())
def test_every_pair_of_codes(name, data):
    layer, function = MERGES[name]
    sources = [data.draw(grids(data.draw(scales(0.02, 0.9)))) for _ in range(2)]
    wide = spread_of(sources[0]) * spread_of(sources[1]) if name == "multiply" else spread_of(*sources)
    target = target_for(data.draw, wide, sources=() if name == "multiply" else sources)
    activations = ["linear", "relu", "relu6"] if name in ("add", "subtract", "multiply") else ["linear"]
    activation = data.draw(st.sampled_from(activations))
    fused = {} if activation == "linear" else {"activation": activation}
    levels = every_pair_of_codes(*sources)
    expected = function(*levels, *sources, target, **fused)
    agree(layer(), sources, target, levels, expected, activation=activation)


@pytest.mark.parametrize("name", MERGES)
@pytest.mark.parametrize("ratio", [(1.0, 1.0), (0.5, 1.0), (1 / 3, 1.0), (1.0, 3.0), (0.25, 0.125)], ids=str)
def test_every_pair_at_simple_ratios(name, ratio):
    layer, function = MERGES[name]
    a, b = (Grid(np.float32(r * 0.1), np.float32(-128), np.float32(127)) for r in ratio)
    target = Grid(np.float32(0.1), np.float32(-128), np.float32(127))
    levels = every_pair_of_codes(a, b)
    agree(layer(), [a, b], target, levels, function(*levels, a, b, target))


@EXAMPLES
@given(st.data(), SEEDS)
def test_concatenate(data, seed):
    sources = [data.draw(grids(data.draw(scales(0.02, 0.9)))) for _ in range(3)]
    target = target_for(data.draw, spread_of(*sources), sources=sources)
    rng = np.random.default_rng(seed)
    levels = [levels_of(rng, g, (4, 5, 3)) for g in sources]
    axis = data.draw(st.sampled_from([-1, 1]))
    expected = numpy_side.concatenate(levels, sources, target, axis)
    agree(layers.Concatenate(axis=axis), sources, target, levels, expected)


@EXAMPLES
@given(st.data(), SEEDS)
def test_requantize(data, seed):
    source = data.draw(grids())
    target = target_for(data.draw, spread_of(source), saturate=(0.1, 4.0), sources=[source])
    levels = every_code(source)
    agree(
        layers.Activation("linear"), [source], target, [levels], numpy_side.requantize(levels, source, target)
    )


# Windows.

IMAGES = st.sampled_from([(6, 6), (5, 8), (9, 4)])
SIZES = st.sampled_from([(2, 2), (3, 3), (3, 2), (1, 4)])
STRIDES = st.sampled_from([(1, 1), (2, 2), (2, 3)])
PADDINGS = st.sampled_from(["valid", "same"])


@pytest.mark.parametrize("kind", ["max", "average"])
@EXAMPLES
@given(st.data(), IMAGES, SIZES, STRIDES, PADDINGS, SEEDS)
def test_pooling(kind, data, image, size, strides, padding, seed):
    source = data.draw(grids())
    target = data.draw(st.sampled_from([source, target_for(data.draw, spread_of(source), sources=[source])]))
    levels = levels_of(np.random.default_rng(seed), source, (4, *image, 3))
    if kind == "max":
        layer, pooled = layers.MaxPooling2D, windows.max_pool(levels, size, strides, padding)
    else:
        layer, pooled = layers.AveragePooling2D, windows.average_pool(levels, size, strides, source, padding)
    expected = pooled if target is source else numpy_side.requantize(pooled, source, target)
    agree(layer(size, strides, padding), [source], target, [levels], expected)


@EXAMPLES
@given(st.data(), IMAGES, SEEDS, st.booleans())
def test_mean(data, image, seed, keepdims):
    source = data.draw(grids())
    target = target_for(data.draw, spread_of(source), saturate=(1.0, 6.0))
    levels = levels_of(np.random.default_rng(seed), source, (16, *image, 5))
    expected = windows.mean(levels, (1, 2), source, target, keepdims)
    agree(layers.GlobalAveragePooling2D(keepdims=keepdims), [source], target, [levels], expected)


@EXAMPLES
@given(st.data(), SEEDS)
def test_pad(data, seed):
    source, widths = data.draw(grids()), [data.draw(st.tuples(*[st.integers(0, 2)] * 2)) for _ in range(2)]
    levels = levels_of(np.random.default_rng(seed), source, (4, 5, 6, 3))
    expected = windows.pad(levels, [(0, 0), *widths, (0, 0)])
    agree(layers.ZeroPadding2D(tuple(widths)), [source], source, [levels], expected)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@EXAMPLES
@given(st.data(), IMAGES, st.sampled_from([(3, 4), (12, 12), (10, 16), (7, 5), (1, 1)]), SEEDS)
def test_resize(interpolation, data, image, size, seed):
    source = data.draw(grids())
    target = data.draw(st.sampled_from([source, target_for(data.draw, spread_of(source), sources=[source])]))
    levels = levels_of(np.random.default_rng(seed), source, (4, *image, 3))
    resize = windows.resize_nearest if interpolation == "nearest" else windows.resize_bilinear
    resized = resize(levels, *size)
    expected = resized if target is source else numpy_side.requantize(resized, source, target)
    agree(layers.Resizing(*size, interpolation=interpolation), [source], target, [levels], expected)
