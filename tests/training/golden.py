"""Records what the trainings of `worker.py` give on one device: `python -m tests.training.golden`.

The numbers are TensorFlow's; the tests hold every other backend and set of devices against them.
"""

import json
from pathlib import Path

import numpy as np

from tests.training import launch

FILE = Path(__file__).with_name("golden.json")
CASES = {
    "w8a8": {"bits": 8},
    "w4a4": {"bits": 4},
    "w4a4 pact": {"bits": 4, "quantizer": "pact"},
    "w4a4 callbacks": {"bits": 4, "callbacks": 1},
}
# Relative. Devices and backends add up float32 in another order, and twelve steps multiply that. At 4 bits a
# value next to the border of two of the 15 levels rounds differently, and its gradient moves by a level: up
# to 1.6e-4 was seen between TensorFlow and the others, which agree with each other to 3e-5.
TOLERANCE = {8: 1e-4, 4: 1e-3}


def check(result, case, epochs=None):
    """Demands the losses and the state of every quantizer that were recorded.

    Args:
        result: What a training reported.
        case: Key of `CASES`.
        epochs: How many epochs the training ran, if not all.
    """
    expected = json.loads(FILE.read_text())[case]
    tolerance = TOLERANCE[CASES[case]["bits"]]
    losses = expected["losses"][-epochs:] if epochs else expected["losses"]
    np.testing.assert_allclose(result["losses"], losses, rtol=tolerance)
    offsets = {name for name in result["state"] if name.endswith("/offset")}  # nothing chose roundings here
    assert not any(np.any(result["state"][name]) for name in offsets)
    assert result["state"].keys() - offsets == expected["state"].keys()
    for name, value in expected["state"].items():
        np.testing.assert_allclose(result["state"][name], value, rtol=tolerance, atol=1e-6, err_msg=name)


def main():
    """Writes the file."""
    results = {name: launch.train(**options) for name, options in CASES.items()}
    kept = {name: {key: result[key] for key in ("losses", "state")} for name, result in results.items()}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
