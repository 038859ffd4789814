"""What tests add from outside is gone after each of them."""

import pytest

from kqat import quantizers
from kqat.core import families, observers
from kqat.export.checks import run
from kqat.lowering import registry as lowerings
from kqat.lowering import treatment as treatments
from kqat.ptq import registry as steps
from kqat.targets import registry as targets

REGISTRIES = {
    "treatments": treatments._TREATMENTS,
    **{f"lowerings of {width}": known for width, known in lowerings._LOWERINGS.items()},
    "quantizers": quantizers.NAMES,
    "families": families._FAMILIES,
    "observers": observers._OBSERVERS,
    "steps": steps._STEPS,
    "targets": targets._TARGETS,
}


@pytest.fixture(autouse=True)
def as_before():
    before, checks = {name: dict(known) for name, known in REGISTRIES.items()}, list(run.CHECKS)
    yield
    for name, known in REGISTRIES.items():
        known.clear()
        known.update(before[name])
    run.CHECKS[:] = checks
