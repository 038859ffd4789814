"""The table of operations has a row for everything that Keras exports, and rows are as recorded."""

import json

import keras
import pytest

from benchmarks.operations import activations, layers, operations
from benchmarks.operations.measure import ROWS, measure
from benchmarks.operations.run import RESULTS

RECORDED = json.loads(RESULTS.read_text())["rows"]
# Every seventh row is measured again, and those where much is new to a file.
SAMPLE = sorted(
    {*list(RECORDED)[::7], "layers.Attention", "layers.AdaptiveMaxPooling2D", "ops.norm", "ops.glu"}
)


def _named(rows, prefix):
    return {name.removeprefix(prefix).split(", ")[0] for name in rows}


@pytest.mark.once
def test_every_activation_has_a_row():
    exported = {name for name in vars(keras.activations) if not name.startswith("_")}
    assert exported - {*activations.TOOLS} == _named(activations.ACTIVATIONS, "activations.")


@pytest.mark.once
def test_every_layer_has_a_row():
    assert sorted({*layers.exported()} - _named(layers.LAYERS, "layers.") - {*layers.NOT_IN_MODELS}) == []


@pytest.mark.once
def test_every_operation_has_a_row():
    found = _named(operations.OPERATIONS, "ops.")
    assert sorted({*operations.exported()} - found - {*operations.NOT_IN_MODELS}) == []


@pytest.mark.once
def test_every_row_is_recorded_and_none_crashes_or_differs():
    assert sorted({*ROWS} - {*RECORDED}) == []
    assert not [name for name, one in RECORDED.items() if one["status"] == "crash"]
    measured = [
        (name, one[width]) for name, one in RECORDED.items() for width in ("W8A8", "W4A4") if width in one
    ]
    assert measured
    assert not [name for name, found in measured if found["unequal"] or found["inner unequal"]]


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="recorded on PyTorch")
@pytest.mark.parametrize("name", SAMPLE)
def test_rows_are_as_recorded(name):
    assert measure(name) == RECORDED[name]
