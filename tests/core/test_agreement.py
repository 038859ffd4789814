"""SQNR and agreement of predictions."""

import numpy as np
import pytest

from kqat.core.agreement import Agreement


def test_figures():
    one = Agreement("y")
    one.add(np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[3.0, 3.0], [1.0, 0.0]]))
    assert one.snr_db == pytest.approx(10 * np.log10(26))
    assert one.top1 == 0.5 or one.top1 == 1.0
    assert one.to_dict()["snr_db"] == one.snr_db


def test_equal_outputs():
    one = Agreement("y")
    one.add(np.ones((2, 1)), np.ones((2, 1)))
    assert one.to_dict() == {"output": "y", "snr_db": None, "top1_agreement": None}
    assert str(one) == "equal"
