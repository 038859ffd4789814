"""The code in the README and the guides runs, block after block, as it is printed."""

import json
import pathlib
import re
import shlex

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from examples import datasets
from kqat.cli.app import app

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs/index.md", *sorted((ROOT / "docs/guides").glob("*.md"))]
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = {"doctor", "export", "inspect", "plan", "quantize", "verify"}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def names():
    """What the pages take as given: a classifier and its data."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, use_bias=False, name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(10, activation="softmax", name="head"),
        ]
    )
    (x_train, y_train), (x_test, y_test) = datasets.load("digits")
    data = {"x_train": x_train[:256], "y_train": y_train[:256], "x_test": x_test[:64], "y_test": y_test[:64]}
    return {"model": model, **data}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_code_runs(page, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    policy = keras.config.dtype_policy()
    before = [np.copy(w) for w in names["model"].get_weights()]
    blocks = BLOCK.findall(page.read_text())
    assert blocks, f"{page.name} shows no code"
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page.name}, block {number + 1}", "exec"), names)
    keras.config.set_dtype_policy(policy)
    if "transfer_weights" not in "".join(blocks):
        for old, new in zip(before, names["model"].get_weights(), strict=True):
            np.testing.assert_array_equal(new, old)


def test_commands_run(names, tmp_path, monkeypatch):
    page = (ROOT / "docs/guides/command-line.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(BLOCK.search(page)[1], names)
    commands = [line for block in SHELL.findall(page) for line in block.splitlines() if "kqat " in line[:5]]
    assert {shlex.split(command)[1] for command in commands} == COMMANDS
    for command in commands:
        command, _, target = command.partition(" > ")
        result = CliRunner().invoke(app, shlex.split(command)[1:])
        assert result.exit_code == 0, f"{command}: {result.output}"
        if target:
            pathlib.Path(target).write_text(result.stdout)
            json.loads(result.stdout)


def test_links_lead_somewhere():
    for page in [*PAGES, *sorted((ROOT / "benchmarks").glob("*/README.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
