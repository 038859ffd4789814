"""A small backbone of each family of KerasHub: quantized, trained, saved, exported, exact."""

import pytest

pytest.importorskip("keras_hub", reason="a development dependency, for Python 3.11 or newer")

from benchmarks.backbones.measure import NAMES, measure  # noqa: E402

# Keras and PyTorch warn of what KerasHub does, and of weights that only the head of a task reads.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
# What a family holds that no file has a form for yet, or that cannot be recorded.
LEFT = {
    "DeiT": "key_dim",
    "FNet": "FFT2",
    "Mixtral": "no batched matrix product",
    "RoFormer V2": "out_dim",
    "XLNet": "xlnet_encoder",
}
# Those whose arithmetic no other one has run in `make test` on every backend; the rest on one.
KINDS = ("BERT", "GPT-2", "Gemma 2", "T5", "Swin", "MiT")


def case(name):
    return name if name in KINDS else pytest.param(name, marks=[pytest.mark.once, pytest.mark.slow])


@pytest.mark.parametrize("name", [case(name) for name in NAMES if name not in LEFT])
def test_files_compute_what_models_compute(name):
    found = measure(name, "W8A8")
    assert found["values"]
    assert found["inner"]
    assert (found["unequal"], found["inner unequal"]) == (0, 0)
    known = ("whole numbers", "ids of an embedding", "nothing around it is quantized")
    assert not [reason for reason in found["float"] if not reason.endswith(known)]


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_is_named(name):
    with pytest.raises(Exception, match=LEFT[name]):
        measure(name, "W8A8")
