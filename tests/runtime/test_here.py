"""Which runtime a file needs is read from its operators, and says nothing about whose process runs it."""

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

import kqat
from kqat.core.errors import FileError
from kqat_runtime.running.binary import BinaryRuntime
from kqat_runtime.running.here import custom_operators, load_here
from kqat_runtime.running.isolated import IsolatedRuntime
from kqat_runtime.running.runtime import Runtime
from tests.export.binary import nets
from tests.patched import patched
from tests.runtime.test_runtime import rounding_file


@pytest.fixture(scope="module")
def binary():
    model = nets.train(nets.between("bn", "valid"))
    return model, kqat.export_lce(model)


def _description(model):
    model.description = b"LceBconv2d"


def _metadata(model):
    entry = schema.MetadataT()
    entry.name, entry.buffer = b"LceBconv2d", 0
    model.metadata = [entry]


def _name(model):
    model.subgraphs[0].tensors[0].name = b"LceBconv2d"


def _builtin_with_a_name(model):
    model.operatorCodes[0].customCode = b"LceBconv2d"


@pytest.mark.parametrize("change", [_description, _metadata, _name, _builtin_with_a_name])
def test_the_name_of_an_operator_elsewhere_decides_nothing(change):
    content = patched(rounding_file(), change)
    assert b"LceBconv2d" in content
    assert custom_operators(content) == set()
    assert type(load_here(content)) is Runtime
    with kqat.runtime.load(content) as runtime:
        assert type(runtime) is IsolatedRuntime


def test_files_for_larq_compute_engine_run_in_either_process(binary):
    model, export = binary
    x = nets.data(model)
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    assert "LceBconv2d" in custom_operators(export.content)
    for isolated in (None, False):
        with kqat.runtime.load(export.content, isolated=isolated) as runtime:
            assert isinstance(runtime, IsolatedRuntime if isolated is None else BinaryRuntime)
            np.testing.assert_array_equal(runtime(x), expected)
            assert runtime.delegation.left["LceBconv2d"] == 2


def test_verify_runs_them_in_a_process_of_their_own(binary, monkeypatch):
    model, export = binary
    here = []
    monkeypatch.setattr("kqat_runtime.running.isolated.load_here", lambda *given: here.append(given))
    assert kqat.verify(model, export.content, nets.data(model)).outputs[0].mismatches == 0
    assert not here


def test_damaged_ones_are_clean_errors(binary):
    _, export = binary
    rng = np.random.default_rng(0)
    x = np.zeros((1, 9, 9, 5), np.float32)
    for _ in range(4):
        content = bytearray(export.content)
        for place in rng.integers(0, len(content), 6):
            content[place] = rng.integers(0, 256)
        try:
            with kqat.runtime.load(bytes(content)) as runtime:
                runtime(x)
        except FileError:
            pass


def test_operators_of_other_libraries_are_refused():
    def change(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32
        model.operatorCodes[0].customCode = b"SomethingElse"

    with pytest.raises(FileError):
        kqat.runtime.load(patched(rounding_file(), change))
