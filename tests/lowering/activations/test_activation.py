"""Parity: activations as operations of their own, over all input levels, zero differences."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kqat.errors import UnsupportedError
from kqat.lowering.activations.activation import fixed_output_grid, kernel_for
from tests.lowering.harness import grid, samples
from tests.lowering.parity import check, every_level, float_error, is_delegated, record

NAMES = [
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "elu",
    "silu",
    "hard_sigmoid",
    "hard_silu",
]
DELEGATED = {
    **{name: layers.Activation(name) for name in NAMES},
    "relu up to 4": layers.ReLU(max_value=4.0),
    "leaky 0.01": layers.LeakyReLU(0.01),
    "leaky 0.3": layers.ReLU(negative_slope=0.3),
}
TABLES = ["gelu", "softplus", "softsign", "selu", "exponential", "hard_tanh", "mish", "squareplus"]
UNDELEGATED = {
    **{name: layers.Activation(name) for name in TABLES},
    "relu of all kinds": layers.ReLU(max_value=4.0, negative_slope=0.1, threshold=0.5),
    "elu 0.5": layers.ELU(0.5),
}
BOUNDED = ["sigmoid", "tanh", "hard_sigmoid", "softsign", "hard_tanh"]  # to 1
OPERATIONS = {
    "relu": ops.relu,
    "relu6": ops.relu6,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "silu": ops.silu,
    "gelu": ops.gelu,
    "leaky relu": lambda x: ops.leaky_relu(x, 0.1),
    "elu": ops.elu,
    "hard sigmoid": ops.hard_sigmoid,
    "hard silu": ops.hard_silu,
    "relu up to 3": lambda x: keras.activations.relu(x, max_value=3.0),
    "absolute": ops.absolute,
    "square": ops.square,
    "clip": lambda x: ops.clip(x, -1.0, 2.0),
}
# (input scale, output scale, lowest levels) at 8 bits: first exact ratios, where halves occur.
GRIDS = [
    (0.1, 0.1, -128, -128),
    (0.1, 0.2, -77, 0),
    (0.05, 0.2, -128, -90),
    (0.0173, 0.0117, -30, -128),
    (0.0671, 0.0533, -128, -9),
    (0.031, 0.0219, -200, 0),
]


def sweep(case, bits):
    """Checks a layer over all levels of several grids and returns the last step."""
    layer, bounded = (DELEGATED | UNDELEGATED)[case], case in BOUNDED
    factor = 2.0 ** (8 - bits)
    for number, (sx, so, low_x, low_y) in enumerate(GRIDS if bits == 8 else GRIDS[::2]):
        source = grid(bits, sx * factor * 0.9, qmin=round(low_x / factor))
        step_size = so * factor * 0.9
        target = grid(bits, min(step_size, 0.37) if bounded else step_size, qmin=round(low_y / factor))
        if bits == 8:
            source, target = grid(8, sx, qmin=low_x), grid(8, so, qmin=low_y)
        levels = np.tile(every_level(source, 4), 4)
        step = check(layer, (source,), target, levels, compile=bits == 8 and number == 3)
    return step


@pytest.mark.parametrize("case", DELEGATED)
def test_accelerated(case):
    assert is_delegated(sweep(case, 8), (None, 256))
    sweep(case, 4)


@pytest.mark.parametrize("case", UNDELEGATED)
def test_not_accelerated(case):
    assert not is_delegated(sweep(case, 8), (None, 256))
    sweep(case, 4)


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "elu", "silu", "hard_sigmoid", "gelu"])
def test_two_bits(name):
    for signed in (True, False):
        source, target = grid(2, 1.7), grid(2, 1.3, signed)
        check(layers.Activation(name), (source,), target, np.tile(every_level(source), 4), compile=False)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_dictated_output_grid(name):
    target = fixed_output_grid(name)
    assert kernel_for(layers.Activation(name)).fixed_grid == target
    for scale in np.random.default_rng(0).uniform(0.002, 0.1, 30):
        source = grid(8, scale, qmin=-130)
        check(layers.Activation(name), (source,), target, every_level(source), compile=False)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("initial", ["zeros", "random_uniform"])
def test_prelu(initial, bits):
    layer = layers.PReLU(shared_axes=(1, 2), alpha_initializer=initial)
    layer.build((None, 5, 4, 8))
    if initial != "zeros":
        layer.alpha.assign(np.linspace(-0.1, 0.5, 8, dtype=np.float32).reshape(1, 1, 8))
    for sx, so in ((0.1, 0.1), (0.1, 0.2), (0.031, 0.0453)):
        source, target = grid(bits, sx), grid(bits, so)
        levels = samples(np.random.default_rng(0), source, (9, 5, 4, 8))
        step = check(layer, (source,), target, levels, compile=False)
    assert is_delegated(step, (None, 5, 4, 8))
    assert float_error(layer, levels * np.float32(0.1)) <= 1e-6  # one product


@pytest.mark.parametrize("case", OPERATIONS)
def test_operations(case):
    op, args, kwargs = record(OPERATIONS[case], (None, 256))
    for sx, so in ((0.1, 0.2), (0.031, 0.0219)):
        source, target = grid(8, sx, qmin=-120), grid(8, so, qmin=-100)
        check(op, (source,), target, every_level(source), args=args, kwargs=kwargs, compile=False)


@pytest.mark.parametrize("case", [*DELEGATED, "gelu", "exponential", "hard_tanh"])
def test_float(case):
    x = np.linspace(-6, 6, 512, dtype=np.float32)[None]
    layer = (DELEGATED | UNDELEGATED)[case]
    # Both sides are float32 approximations: a few units in the last place, of exp(6) = 403 at most.
    assert float_error(layer, x) <= (2e-4 if case == "exponential" else 4e-6)


@pytest.mark.parametrize("scales", [(30.0, 0.05), (3.0, 0.02), (0.02, 5.3)], ids=str)
@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "silu", "hard_silu"])
def test_scales_far_apart(name, scales):
    sx, so = scales
    for low_x, low_y in ((-100, -128), (-1, -3), (0, 0)):
        source, target = grid(8, sx, qmin=low_x), grid(8, so, qmin=low_y)
        if (name, sx) == ("relu6", 0.02):  # its largest value, 5.1, is a level of this grid
            target = grid(8, 5.3, qmin=0)
        step = check(layers.Activation(name), (source,), target, every_level(source), compile=low_x == -1)
        assert is_delegated(step, (None, 256))


@pytest.mark.parametrize("slope", [0.3, 2.5])
@pytest.mark.parametrize("ratio", [0.0036, 40.0, 127.0, 128.0, 200.0, 3000.0])
def test_leaky_relu_at_any_ratio(slope, ratio):
    for low_x, low_y in ((-100, -254), (-100, -128), (-20, -9)):
        source, target = grid(8, 0.3, qmin=low_x), grid(8, 0.3 / ratio, qmin=low_y)
        check(layers.LeakyReLU(slope), (source,), target, every_level(source), compile=low_x == -20)


def test_a_slope_under_one_level_is_zero():
    source, target = grid(8, 0.1), grid(2, 6.0)
    step = check(layers.LeakyReLU(0.01), (source,), target, every_level(source), compile=False)
    assert is_delegated(step, (None, 256))


def test_unknown_function_is_refused():
    def swirl(x):
        return ops.sin(x) * x

    with pytest.raises(UnsupportedError, match="no integer kernel"):
        kernel_for(layers.Activation(swirl))


def test_float_function_without_an_operator_is_a_formula():
    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    # The formula rounds after each of about 20 operations.
    assert float_error(layers.Activation("mish"), x) <= 1e-6
