"""Models at random: what the plan promises is written, and the file computes what the model computes.

The graphs are other ones in every run. `KQAT_SEED=<number>` repeats a run whose seed was printed, and
`KQAT_GRAPHS=<number>` says how many graphs there are.
"""

import os
import secrets

import pytest

import kqat
from kqat.core.errors import ExportError
from tests.exactness import calibrated, reloaded
from tests.integration.random_graphs import random_model

SHARDS = 8
GRAPHS = int(os.environ.get("KQAT_GRAPHS", "200"))


@pytest.fixture(scope="session")
def first_seed():
    """The seed of the run, the same in every worker of pytest-xdist."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    drawn = int(run[:7], 16) if run else secrets.randbelow(1 << 28)
    return int(os.environ.get("KQAT_SEED", drawn))


def differing(seed: int, folder) -> str | None:
    """Returns what is wrong with the graph of a seed, `None` if nothing is.

    No value of a quantized output may differ. Where the last operation is a float one, whose sums may
    run in another order (of a layer that the plan leaves in float), `verify` allows
    1e-5 of the largest output. Refusals count as wrong unless the plan gave the layer a reason beforehand.
    """
    model, x, bits, saved = random_model(seed)
    announced = [
        layer.reason for layer in kqat.plan(model, bits).float_layers if layer.reason.startswith("no ")
    ]
    try:
        q = calibrated(model, bits, x)
        if saved is not None:
            q = reloaded(q, folder / f"{seed}{saved}")
        report = kqat.verify(q, kqat.export_tflite(q, fallback="error"), x)
    except Exception as error:
        return None if announced and isinstance(error, ExportError) else f"{type(error).__name__}: {error}"
    return f"{report.mismatches} values differ" if report.mismatches else None


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_graph(shard, first_seed, tmp_path):
    print(f"KQAT_SEED={first_seed}")
    wrong = {}
    for seed in range(first_seed + shard, first_seed + GRAPHS, SHARDS):
        problem = differing(seed, tmp_path)
        if problem is not None:
            wrong[seed] = problem
    assert not wrong, f"KQAT_SEED={first_seed}: " + "\n".join(f"{s}: {p[:500]}" for s, p in wrong.items())
