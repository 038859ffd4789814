"""The tables of the gates' functions."""

import keras
import numpy as np
import pytest

from kqat.lowering.recurrent.curves import CURVES, ROWS, UNIT, Curves


@pytest.mark.parametrize("name", CURVES)
def test_a_table_is_near_its_function_everywhere(name):
    curves = Curves([name])
    x = np.linspace(-20, 20, 50_001, dtype=np.float32)
    (low,), (high,) = curves.ends([name], 1)
    index = np.clip(np.rint(x * curves.rate([name], 1) + curves.offset([name], 1)), low, high)
    found = curves.rows[index.astype(int)] * UNIT
    exact = keras.ops.convert_to_numpy(keras.activations.get(name)(keras.ops.convert_to_tensor(x)))
    # Half a row is 1/1024 of tanh's argument and 1/512 of the sigmoid's, whose slope is 1/4.
    assert np.abs(found - exact).max() <= 1 / 1024


def test_sections_follow_one_another():
    curves = Curves(["sigmoid", "sigmoid", "tanh", "relu", "sigmoid"])
    assert curves.rows.shape == (2 * ROWS,)
    low, high = curves.ends(["sigmoid", "tanh"], 2)
    assert low.tolist() == [0, 0, ROWS, ROWS]
    assert high.tolist() == [ROWS - 1, ROWS - 1, 2 * ROWS - 1, 2 * ROWS - 1]
    assert curves.offset(["tanh", "relu"], 1).tolist() == [ROWS * 1.5, 0]
    assert curves.rate(["sigmoid", "tanh", "relu"], 1).tolist() == [256, 512, 1]


def test_odd_functions_stay_odd():
    rows = Curves(["tanh"]).rows
    np.testing.assert_array_equal(rows[1:], -rows[:0:-1])
