"""Small models of published kinds: quantized, trained, saved, exported, exact."""

import pytest

from benchmarks.published.measure import measure
from benchmarks.published.models import KINDS, MODELS

# What opens in a way of its own, and where a difference or a refusal once was.
SAMPLE = {
    "Involution": 8,
    "Siamese, contrastive": 4,
    "Learnable resizer": 8,
    "Swin": 8,
    "DeepLabV3+": 8,
    "Zero-DCE": 4,
    "PointNet": 8,
    "Transformer translation": 8,
    "TCN": 4,
    "Wide & deep": 8,
    "Style transfer (AdaIN)": 8,
    "DQN": 4,
    "RetinaNet": 8,
}
QUICK = ("Siamese, contrastive", "PointNet", "TCN")
KNOWN = ("whole numbers", "ids of an embedding", "nothing around it is quantized", "joined in float")
# A model of a kind is not there for one width alone.
WIDTHS = {8: "W8A8", 4: "W4A4"}
# Keras and PyTorch warn of what models do.
pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning"), pytest.mark.slow]


def case(name):
    """Returns the case of a model: compiling most of them takes TensorFlow a minute."""
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.once)


@pytest.mark.parametrize("name", [case(name) for name in SAMPLE])
def test_files_compute_what_models_compute(name):
    found = measure(name, WIDTHS[SAMPLE[name]])
    assert found["values"]
    assert found["inner"]
    assert (found["unequal"], found["inner unequal"]) == (0, 0)
    assert not [reason for reason in found["float"] if not reason.endswith(KNOWN)]


@pytest.mark.once
def test_every_kind_has_models():
    assert all(KINDS.values())
    assert len(MODELS) >= 60
