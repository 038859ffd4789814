"""Parity: recurrent layers, Keras against the runtime, zero differences."""

import keras
import numpy as np
import pytest
from keras import layers

import kqat.lowering.families  # noqa: F401 - registers every lowering
from kqat.errors import UnsupportedError
from kqat.lowering.base import Step
from kqat.lowering.recurrent.layer import obstacle
from kqat.lowering.registry import lowering_for
from tests.few import few_on_jax
from tests.lowering.harness import grid
from tests.lowering.parity import compiled, optimized
from tests.lowering.recurrent.recurrences import float_output, keras_levels, reals, runtime_levels, step_of

UNITS, SHAPE = 10, (40, 9, 6)
ONE_WAY = {
    "lstm": lambda: layers.LSTM(UNITS),
    "lstm backwards": lambda: layers.LSTM(UNITS, return_sequences=True, go_backwards=True),
    "lstm of other functions": lambda: layers.LSTM(
        UNITS, activation="relu", recurrent_activation="hard_sigmoid", return_sequences=True
    ),
    "lstm without bias": lambda: layers.RNN(layers.LSTMCell(UNITS, use_bias=False)),
    "gru": lambda: layers.GRU(UNITS, return_sequences=True),
    "gru, reset before": lambda: layers.GRU(UNITS, reset_after=False, return_sequences=True),
    "gru without bias": lambda: layers.GRU(UNITS, use_bias=False),
    "linear gru": lambda: layers.GRU(UNITS, activation="linear"),
    "simple": lambda: layers.SimpleRNN(UNITS, return_sequences=True),
    "simple relu": lambda: layers.SimpleRNN(UNITS, activation="relu", return_sequences=True),
    "simple sigmoid": lambda: layers.SimpleRNN(UNITS, activation="sigmoid"),
}
BOTH_WAYS = {
    merge: lambda merge=merge: layers.Bidirectional(
        layers.GRU(4, return_sequences=merge != "sum"), merge_mode=merge
    )
    for merge in ("concat", "sum", "mul", "ave")
}
BOTH_WAYS["other"] = lambda: layers.Bidirectional(
    layers.LSTM(4), backward_layer=layers.SimpleRNN(7, go_backwards=True)
)
CASES = ONE_WAY | BOTH_WAYS
SCALES = {"lstm of other functions": 1 / 8, "linear gru": 1 / 8, "simple relu": 1.0}  # of unbounded outputs


def assert_same(ours, theirs):
    """Demands equal levels, more than a few of them."""
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 20


def assert_near(ours, step, inputs):
    """Demands what Keras's own layer computes, but for the rounding of gates and state.

    Gates are good to 1/1024 and states to 1/8192: the errors of 9 steps add up to less than two steps of an
    8-bit output, where it does not saturate.
    """
    real = float_output(step, inputs)
    inside = np.abs(real) < 126 * step.output.scale
    assert inside.mean() > 0.5
    assert np.abs(ours * step.output.scale - real)[inside].max() < 2 * step.output.scale


@pytest.mark.parametrize("case", few_on_jax(CASES, *ONE_WAY, "concat", "sum", "mul", "ave"))
def test_eight_bits(case):
    step = step_of(CASES[case](), SHAPE, target=grid(scale=SCALES.get(case, 1 / 128)))
    inputs = reals(step, SHAPE)
    ours = keras_levels(step, inputs)
    assert_same(ours, runtime_levels(step, inputs))
    assert_near(ours, step, inputs)


COMPILERS = [compiled, optimized] if keras.backend.backend() == "tensorflow" else [compiled]


@pytest.mark.parametrize("case", ["lstm", "gru, reset before", "concat"])
@pytest.mark.parametrize("compile", COMPILERS)
def test_in_compiled_graphs(case, compile):
    step = step_of(CASES[case](), SHAPE, seed=3)
    inputs = reals(step, SHAPE)
    np.testing.assert_array_equal(keras_levels(step, inputs, compile), runtime_levels(step, inputs))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_narrow_weights_and_grids(bits):
    source, target = grid(4, 0.2, qmin=-5), grid(4, 0.15, qmin=-6)
    step = step_of(layers.LSTM(UNITS, return_sequences=True), SHAPE, bits, source, target)
    inputs = reals(step, SHAPE)
    ours = keras_levels(step, inputs)
    np.testing.assert_array_equal(ours, runtime_levels(step, inputs))
    assert len(np.unique(ours)) > 5


def test_sixteen_bits():
    wide = grid(16, 1e-4, qmin=-(2**15))
    shape = (20, 5, 200)  # sums of 200 products of 16 and 8 bits pass 2^24
    step = step_of(layers.GRU(UNITS), shape, source=wide, target=wide)
    inputs = reals(step, shape)
    assert_same(keras_levels(step, inputs), runtime_levels(step, inputs))


@pytest.mark.parametrize("case", ["lstm", "gru", "simple", "lstm backwards", "concat", "sum"])
def test_masks(case):
    step = step_of(CASES[case](), SHAPE, masked=True)
    inputs = reals(step, SHAPE, masked=True)
    ours = keras_levels(step, inputs)
    assert_same(ours, runtime_levels(step, inputs))
    assert_near(ours, step, inputs)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: layers.LSTM(4, stateful=True), "stateful"),
        (lambda: layers.LSTM(4, activation="selu"), "selu"),
        (lambda: layers.GRU(4, recurrent_activation="relu"), "relu"),
        (lambda: layers.RNN([layers.LSTMCell(4), layers.LSTMCell(3)]), "StackedRNNCells"),
        (lambda: layers.Bidirectional(layers.LSTM(4, activation="selu")), "selu"),
        (lambda: layers.LSTM(4, zero_output_for_mask=True), "zero_output_for_mask"),
    ],
)
def test_obstacles(make, reason):
    assert reason in obstacle(make())


def test_no_form_without_grids():
    layer = layers.LSTM(4)
    with pytest.raises(UnsupportedError, match="fallback='converter'"):
        lowering_for(layer).write_body(None, Step(layer, (None,), None), (), "y")


def test_a_users_own_cell_is_not_taken_for_kerass():
    class Cell(keras.layers.LSTMCell):
        """Computes something else."""

    assert "Cell" in obstacle(layers.RNN(Cell(3)))
