"""Models at random: what the plan promises is written, and the file computes what the model computes.

`KQAT_SEED=<number>` says which graphs, by default always the same, and `KQAT_GRAPHS=<number>` how many.
`make random-graphs` draws 200 other ones in every run, and prints the seed.
"""

import os

import pytest

import kqat
from kqat.core.errors import ExportError
from tests.exactness import calibrated, reloaded
from tests.integration.random_graphs import random_model

# Ranges of graphs at random are as far apart as chance has it, and a softmax may find an axis of size 1.
pytestmark = [
    pytest.mark.filterwarnings("ignore::kqat.core.errors.SharedGridWarning"),
    pytest.mark.filterwarnings("ignore:You are using a softmax over axis:UserWarning"),
]
SHARDS = 8
GRAPHS = int(os.environ.get("KQAT_GRAPHS", "40"))
FIRST_SEED = int(os.environ.get("KQAT_SEED", "0"))


def differing(seed: int, folder) -> str | None:
    """Returns what is wrong with the graph of a seed, `None` if nothing is.

    No value of a quantized output may differ. Where the last operation is a float one, whose sums may
    run in another order (of a layer that the plan leaves in float), `verify` allows
    1e-5 of the largest output. A refusal counts as wrong unless it names a layer of which the plan said that
    kqat cannot write it.
    """
    model, x, bits, saved = random_model(seed)
    stream_bits = 8 if seed % 2 else 1
    plan = kqat.plan(model, bits, stream_bits=stream_bits)
    announced = [layer.name for layer in plan if layer.file in ("converter", "nothing")]
    try:
        q = calibrated(model, bits, x, stream_bits=stream_bits)
        if saved is not None:
            q = reloaded(q, folder / f"{seed}{saved}")
        report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), x)
    except Exception as error:
        said = isinstance(error, ExportError) and any(name in str(error) for name in announced)
        return None if said else f"{type(error).__name__}: {error}"
    return f"{report.mismatches} values differ" if report.mismatches else None


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_graph(shard, tmp_path):
    wrong = {}
    for seed in range(FIRST_SEED + shard, FIRST_SEED + GRAPHS, SHARDS):
        problem = differing(seed, tmp_path)
        if problem is not None:
            wrong[seed] = problem
    assert not wrong, f"KQAT_SEED={FIRST_SEED}: " + "\n".join(f"{s}: {p[:500]}" for s, p in wrong.items())
