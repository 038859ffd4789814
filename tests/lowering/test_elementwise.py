"""Parity: elementwise operations, Keras against the runtime, over all levels and pairs of levels."""

import keras
import numpy as np
import pytest
from keras import ops

import kqat
from kqat.errors import UnsupportedError
from kqat.formats.tflite.write import to_tflite
from kqat.lowering.base import Input, Step
from kqat.lowering.registry import lowering_for
from kqat.program.writer import Writer
from tests.lowering import harness
from tests.lowering.harness import grid
from tests.lowering.parity import check, every_level, every_pair, float_error, record

# Functions and the input scale around which they are interesting.
FUNCTIONS = {
    "sign": (ops.sign, 0.02),
    "floor": (ops.floor, 0.023),
    "ceil": (ops.ceil, 0.023),
    "round": (ops.round, 0.023),
    "log1p": (ops.log1p, 0.005),
    "expm1": (ops.expm1, 0.02),
    "tan": (ops.tan, 0.005),
    "arctan": (ops.arctan, 0.02),
    "erf": (ops.erf, 0.02),
    "square": (lambda x: x**2, 0.02),
    "cube": (lambda x: ops.power(x, 3.0), 0.01),
    "power of two": (lambda x: ops.power(2.0, x), 0.02),
    "absolute": (ops.absolute, 0.02),
    "negative": (ops.negative, 0.02),
    "sine": (ops.sin, 0.02),
    "complement of erf": (ops.erfc, 0.02),
    "radians": (ops.deg2rad, 1.1),
    "degrees": (ops.rad2deg, 0.0003),
    "size": (ops.fabs, 0.02),
    "cardinal sine": (ops.sinc, 0.02),
    "inverse of erf": (ops.erfinv, 0.003),
    "threshold": (lambda x: ops.threshold(x, 0.5, -0.25), 0.02),
}
PARTIAL = {"sqrt": ops.sqrt, "log": ops.log, "rsqrt": ops.rsqrt, "reciprocal": ops.reciprocal}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions(case):
    function, sx = FUNCTIONS[case]
    op, args, kwargs = record(function, (None, 256))
    for low_x, so, low_y in ((-128, 0.0241, -128), (-60, 0.0113, 0), (0, 0.0311, -40)):
        source = grid(8, sx, qmin=low_x)
        step = check(
            op,
            (source,),
            grid(8, so, qmin=low_y),
            every_level(source),
            args=args,
            kwargs=kwargs,
            compile=False,
        )
    check(op, (grid(4, sx * 16),), grid(4, 0.3), every_level(grid(4, sx * 16)), args=args, kwargs=kwargs)
    x = every_level(source) * source.scale
    ours = harness.keras_levels(lowering_for(op), step, every_level(source))
    target = step.output
    y = np.clip(ops.convert_to_numpy(function(x)) / target.scale, target.qmin, target.qmax)
    assert np.abs(ours - y).max() <= 0.501


@pytest.mark.parametrize("case", PARTIAL)
def test_functions_that_are_not_defined_everywhere(case):
    op, args, kwargs = record(PARTIAL[case], (None, 256))
    source, target = grid(8, 0.02), grid(8, 0.05)
    step = check(op, (source,), target, every_level(source), args=args, kwargs=kwargs, compile=False)
    levels = harness.keras_levels(lowering_for(op), step, every_level(source))[0]
    negative = levels[: 128 if case != "reciprocal" else 0]
    assert not negative.any()


def test_quotients_of_two_tensors():
    for sa, sb, so, low in ((0.05, 0.07, 0.031, -128), (0.3, 0.01, 1.7, -255), (0.01, 0.013, 0.02, 0)):
        a, b = grid(8, sa), grid(8, sb, qmin=low)
        pairs = [x[:, every_pair(a, b)[1][0] != 0] for x in every_pair(a, b)]
        op, args, _ = _pair(ops.divide)
        check(op, (a, b), grid(8, so), *pairs, args=args, compile=so == 0.031)


def _pair(function):
    """The operation of two tensors, and its arguments."""
    y = function(keras.KerasTensor((None, 4)), keras.KerasTensor((None, 4)))
    return y._keras_history.operation, (Input(0), Input(1)), {}


@pytest.mark.parametrize("function", [lambda x: x / 3.0, lambda x: 2.0 / x, lambda x: ops.divide(x, 0.7)])
def test_quotients_with_a_number(function):
    op, args, kwargs = record(function, (None, 128))
    source = grid(8, 0.05, qmin=0)
    levels = every_level(source)[:, 1:]
    check(op, (source,), grid(8, 0.017), levels, args=args, kwargs=kwargs)
    x = levels * source.scale
    # JAX itself multiplies with a rounded reciprocal: one unit in the last place of at most 64.
    assert float_error(op, x, args=args, kwargs=kwargs) <= 4e-6


def test_quotients_with_one_divisor_for_many():
    """XLA would multiply with the reciprocal."""
    rng = np.random.default_rng(0)
    a, b = grid(8, 0.05), grid(8, 0.013, qmin=0)
    levels = harness.samples(rng, a, (300, 64)), rng.integers(1, 256, (300, 1)).astype(np.float32)
    op, args, _ = _pair(ops.divide)
    check(op, (a, b), grid(8, 0.11), *levels, args=args)


def test_choices():
    rng = np.random.default_rng(0)
    a, b = grid(8, 0.05), grid(8, 0.02, qmin=-30)
    levels = [harness.samples(rng, g, (40, 6)) for g in (a, b)]
    condition = rng.integers(0, 2, (40, 6)).astype(bool)
    symbols = [keras.KerasTensor((None, 6), dtype) for dtype in ("bool", "float32", "float32")]
    op = ops.where(*symbols)._keras_history.operation
    step = Step(op, (None, a, b), grid(8, 0.041), args=(Input(0), Input(1), Input(2)))
    lowering, writer = lowering_for(op), Writer()
    refs = [writer.input("x0", (None, 6), "bool")]
    refs += [writer.input(f"x{i}", (None, 6), "float32", g) for i, g in ((1, a), (2, b))]
    out = lowering.emit(writer, step, refs, "y")
    codes = [(x + ref.zero_point).astype(np.int8) for x, ref in zip(levels, refs[1:], strict=True)]
    theirs = harness.run(to_tflite(writer.program(refs, [out], output_names=["y"])), condition, *codes)
    y = lowering.forward(step, condition, *(x * g.scale for x, g in zip(levels, (a, b), strict=True)))
    ours = np.rint(ops.convert_to_numpy(y) / step.output.scale)
    np.testing.assert_array_equal(ours, theirs - float(out.zero_point))


PREDICATES = {
    "greater": lambda x: x > 0.1,
    "greater or equal": lambda x: x >= 0.5,
    "less": lambda x: x < 0.1,
    "less or equal": lambda x: x <= 0.5,
    "equal": lambda x: ops.equal(x, 0.5),
    "not equal": lambda x: ops.not_equal(x, 0.5),
    "whole": lambda x: ops.cast(x, "int32"),
    "same": lambda x: ops.cast(x, "float32"),
}


@pytest.mark.parametrize("case", PREDICATES)
def test_float_forms(case):
    op, args, kwargs = record(PREDICATES[case], (None, 9))
    x = np.linspace(-2, 2, 9, dtype=np.float32)[None]
    writer = Writer()
    ref = writer.input("x0", (None, 9))
    out = lowering_for(op).emit(writer, Step(op, (None,), None, "linear", None, args, kwargs), [ref], "y")
    content = to_tflite(writer.program([ref], [out], output_names=["y"]))
    np.testing.assert_array_equal(harness.run(content, x), ops.convert_to_numpy(PREDICATES[case](x)))


def test_functions_without_a_float_operator_are_refused():
    op, args, kwargs = record(ops.erf, (None, 4))
    with pytest.raises(UnsupportedError, match="no float operator"):
        harness.write(lowering_for(op), Step(op, (None,), None, "linear", None, args, kwargs), (None, 4))


@pytest.mark.once
@pytest.mark.parametrize(
    "function", [ops.power, ops.heaviside, lambda a, b: ops.power(a, np.ones(4, "float32"))]
)
def test_functions_of_several_numbers_are_planned_in_float(function):
    a, b = keras.Input((4,)), keras.Input((4,))
    plan = kqat.plan(keras.Model([a, b], [function(a, b), b]))
    assert [layer.reason for layer in plan.float_layers if "no kernel for" in layer.reason]


@pytest.mark.parametrize("function", [ops.floor, ops.sign, lambda x: x**2])
def test_functions_in_float(function):
    op, args, kwargs = record(function, (None, 4))
    x = np.float32([[-1.5, 0, 0.3, 2.0]])
    # XNNPACK's POW and Keras's may differ in the last bit of 4.
    assert float_error(op, x, args=args, kwargs=kwargs) <= 5e-7
