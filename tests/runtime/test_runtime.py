"""The interpreter's wrapper: batches, types of inputs and outputs, and files that are damaged."""

import contextlib
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kqat.core.errors import FileError
from kqat.core.grid import Grid
from kqat.formats.tflite.write import to_tflite
from kqat.program.writer import Writer
from kqat_runtime.processes import child
from kqat_runtime.running import isolated
from kqat_runtime.running.flatbuffer import Reader
from kqat_runtime.running.isolated import IsolatedRuntime, load
from kqat_runtime.running.runtime import Delegation, Port, Runtime, delegation
from kqat_runtime.running.structure import check_structure

STEP = np.float32(0.25)
GRID = Grid(STEP, np.float32(-128), np.float32(127))


def rounding_file(batch=None, quantized_io=False):
    """A file that rounds onto `GRID`: QUANTIZE, RESHAPE, DEQUANTIZE, or only RESHAPE between int8 ends."""
    writer = Writer()
    x = writer.input("x", (batch, 4), grid=GRID if quantized_io else None)
    levels = x
    if not quantized_io:
        levels = writer.activation("levels", (batch, 4), GRID)
        writer.operator("QUANTIZE", [x], [levels], "QuantizeOptions")
    y = folded = writer.reshape(levels, (batch, 2, 2), "folded")
    if not quantized_io:
        y = writer.activation("y", (batch, 2, 2))
        writer.operator("DEQUANTIZE", [folded], [y], "DequantizeOptions")
    return to_tflite(writer.program([x], [y], ["first"], ["second"]))


def rounded(x):
    return (np.clip(np.rint(x / STEP), -128, 127) * STEP).reshape(-1, 2, 2)


@pytest.fixture
def samples():
    return np.random.default_rng(0).normal(0, 20, (10, 4)).astype(np.float32)


@pytest.mark.parametrize("process", [False, True], ids=["here", "isolated"])
def test_runs_whole_arrays_and_reports_its_ports(process, samples):
    with load(rounding_file(), process) as runtime:
        (result,) = runtime.run([samples], batch_size=4)  # two full batches and one of two
        np.testing.assert_array_equal(result, rounded(samples))
        assert runtime.inputs == (Port("first", (None, 4), "float32"),)
        assert runtime.outputs == (Port("second", (None, 2, 2), "float32"),)
        assert runtime.delegation.applied


@pytest.mark.parametrize("size", [1, 3, 10, 64])
def test_batch_size_does_not_change_results(size, samples):
    np.testing.assert_array_equal(Runtime(rounding_file()).run([samples], size)[0], rounded(samples))


def test_fixed_batch_runs_in_its_own_size_and_drops_the_padding(samples):
    runtime = Runtime(rounding_file(batch=4))
    assert runtime.inputs[0].shape == (4, 4)
    np.testing.assert_array_equal(runtime.run([samples])[0], rounded(samples))


def test_real_values_and_codes_at_int8_ends(samples):
    runtime = Runtime(rounding_file(quantized_io=True))
    codes = np.clip(np.rint(samples / STEP), -128, 127).astype(np.int8)
    assert runtime.inputs[0] == Port("first", (None, 4), "int8", 0.25, 0)
    np.testing.assert_array_equal(runtime.run([samples])[0], rounded(samples))
    (stored,) = runtime.run([codes], real=False)
    assert stored.dtype == np.int8
    np.testing.assert_array_equal(stored, codes.reshape(-1, 2, 2))


def test_uint8_port_rounds_half_to_even_and_saturates():
    port = Port("x", (None,), "uint8", 0.5, 128)
    real = np.array([0.0, 0.25, 0.75, -0.25, 1e6, -1e6], np.float32)
    codes = port.encode(real)
    assert codes.dtype == np.uint8
    assert codes.tolist() == [128, 128, 130, 128, 255, 0]
    np.testing.assert_array_equal(port.decode(codes), np.float32([0, 0, 1, 0, 63.5, -64]))
    assert port.encode(codes) is codes


def test_integer_port_refuses_fractions():
    port = Port("ids", (None,), "int32")
    assert port.encode(np.array([1.0, 2.0])).dtype == np.int32
    with pytest.raises(FileError, match="'ids' of the file holds whole numbers.*float64"):
        port.encode(np.array([1.5]))


@pytest.mark.parametrize(
    "arrays", [[np.zeros((2, 5))], [np.zeros(4)], [np.zeros((2, 4))] * 2, [np.zeros((0, 4))], []]
)
def test_wrong_arrays_are_named(arrays):
    with pytest.raises(FileError, match=r"takes other inputs. Received: shapes .* Use \[\(None, 4\)\]"):
        Runtime(rounding_file()).run(arrays)


def test_delegation_is_what_lies_between_a_partitions_ends():
    operators = [
        {"op_name": "A", "inputs": [0], "outputs": [1]},
        {"op_name": "B", "inputs": [1, 7], "outputs": [2]},
        {"op_name": "C", "inputs": [2], "outputs": [3]},
        {"op_name": "A", "inputs": [3], "outputs": [4]},
        {"op_name": "DELEGATE", "inputs": [0, 7], "outputs": [2]},
        {"op_name": "DELEGATE", "inputs": [3], "outputs": [4]},
    ]
    assert delegation(operators) == Delegation(2, Counter({"C": 1}))
    assert not delegation(operators).whole
    assert delegation([operators[0]]) == Delegation(0, Counter({"A": 1}))
    assert delegation([operators[0], {"op_name": "DELEGATE", "inputs": [0], "outputs": [1]}]).whole


# Damaged files.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a .tflite file.*Received: 0 bytes"),
        (b"PK\x03\x04 a zip archive", "identifier 'TFL3' is missing"),
        (b"\x20\0\0\0TFL3", "cut off or damaged"),
        (b"\x08\0\0\0TFL3" + b"\xff" * 32, "cut off or damaged"),
    ],
)
def test_bytes_that_are_no_file(content, said):
    with pytest.raises(FileError, match=said):
        Runtime(content)


def test_every_truncation_is_an_error():
    content = rounding_file()
    for length in range(0, len(content), 7):
        with pytest.raises(FileError):
            check_structure(content[:length])


@settings(max_examples=300)
@given(st.data())
def test_the_structure_check_survives_any_damage(data):
    """Whatever is overwritten, there is a clean error or none; nothing else escapes and nothing hangs."""
    content = bytearray(rounding_file())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 4))
        content[start : start + 4] = data.draw(st.binary(min_size=4, max_size=4))
    with contextlib.suppress(FileError):
        check_structure(bytes(content))


def patched(change):
    """The rounding file after `change(model)` on its object form."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(rounding_file()))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_the_patching_of_these_tests_keeps_a_sound_file_sound(samples):
    content = patched(lambda model: None)
    np.testing.assert_array_equal(Runtime(content).run([samples])[0], rounded(samples))


def _no_graph(m):
    m.subgraphs = []


def _future(m):
    m.version = 9


def _unknown_tensor(m):
    m.subgraphs[0].operators[0].inputs = [99]


def _unknown_code(m):
    m.subgraphs[0].operators[0].opcodeIndex = 9


def _unknown_buffer(m):
    m.subgraphs[0].tensors[0].buffer = 77


def _negative_shape(m):
    m.subgraphs[0].tensors[1].shape = [-5, 4]
    m.subgraphs[0].tensors[1].shapeSignature = None


def _huge_shape(m):
    m.subgraphs[0].tensors[1].shape = [1 << 30, 1 << 30]


def _short_constant(m):
    (constant,) = [t for t in m.subgraphs[0].tensors if t.name == b"folded/shape"]
    constant.shape = [300]


def _backwards(m):
    m.subgraphs[0].operators.reverse()


def _never_computed(m):
    m.subgraphs[0].operators.pop()


def _scales(m):
    m.subgraphs[0].tensors[1].quantization.scale = [0.1, 0.2, 0.3]
    m.subgraphs[0].tensors[1].quantization.zeroPoint = [0, 0, 0]
    m.subgraphs[0].tensors[1].quantization.quantizedDimension = 1


def _nan_scale(m):
    m.subgraphs[0].tensors[1].quantization.scale = [float("nan")]


def _signature(m):
    m.signatureDefs[0].inputs[0].tensorIndex = 50


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_no_graph, "no subgraph"),
        (_future, "schema version 9"),
        (_unknown_tensor, "reads no existing tensor"),
        (_unknown_code, "operator 0 of kind 9"),
        (_unknown_buffer, "in buffer 77"),
        (_negative_shape, r"shape \[-5, 4\]"),
        (_huge_shape, "bytes"),
        (_short_constant, "stored in 12 bytes, not 1200"),
        (_backwards, "before they are computed"),
        (_never_computed, "an output that nothing computes"),
        (_scales, "3 scales along axis 1"),
        (_nan_scale, "scale"),
        (_signature, "signature of tensors that do not exist"),
    ],
)
def test_unsound_contents_are_named(change, said):
    with pytest.raises(FileError, match=f"damaged. Received: a file with .*{said}"):
        Runtime(patched(change))


def test_what_the_runtime_refuses_is_a_clean_error():
    def unknown_operator(model):
        add = 0  # which takes two inputs, not one
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = add

    with pytest.raises(FileError, match="The runtime refuses the file"):
        Runtime(patched(unknown_operator))


def test_reader_reads_the_tables_that_were_written():
    tensors = Reader(rounding_file()).model()["subgraphs"][0]["tensors"]
    assert [tensor["name"] for tensor in tensors] == ["x", "levels", "folded", "folded/shape", "y"]


# A process of its own.


def test_isolated_errors_are_those_of_the_runtime():
    with IsolatedRuntime(rounding_file()) as runtime:
        with pytest.raises(FileError, match="takes other inputs"):
            runtime.run([np.zeros((2, 5), np.float32)])
        np.testing.assert_array_equal(runtime.run([np.ones((1, 4), np.float32)])[0], np.ones((1, 2, 2)))


def test_a_crash_in_the_process_is_a_clean_error(monkeypatch):
    monkeypatch.setattr(isolated, "_SERVER", ("os", "abort"))
    with pytest.raises(FileError, match="ended .*does not survive"):
        IsolatedRuntime(rounding_file())


def test_a_hang_in_the_process_is_a_clean_error(monkeypatch):
    monkeypatch.setattr(isolated, "_SERVER", ("signal", "pause"))
    with pytest.raises(FileError, match="did not answer within 0.5 seconds"):
        IsolatedRuntime(rounding_file(), timeout=0.5)


def test_isolated_process_ends_with_its_runtime():
    runtime = IsolatedRuntime(rounding_file())
    runtime.close()
    assert runtime._child.returncode is not None
    with pytest.raises(FileError):
        runtime.run([np.ones((1, 4), np.float32)])


@pytest.mark.parametrize("process", [False, True], ids=["here", "isolated"])
def test_a_closed_runtime_says_so(process):
    runtime = load(rounding_file(), process)
    runtime.close()
    runtime.close()
    with pytest.raises(FileError, match="closed"):
        runtime(np.ones((1, 4), np.float32))


@pytest.mark.parametrize("process", [False, True], ids=["here", "isolated"])
def test_threads_get_their_own_answers(process, samples):
    """Batches of other sizes too, for which the interpreter is made anew."""
    asked = [samples[: k + 1] * (k + 1) for k in range(8)]
    with load(rounding_file(), process) as runtime, ThreadPoolExecutor(8) as pool:
        for k, answer in pool.map(lambda k: (k, runtime(asked[k], batch_size=3)), [*range(8)] * 15):
            np.testing.assert_array_equal(answer, rounded(asked[k]))


def test_a_file_that_needs_too_much_memory_is_a_clean_error():
    with IsolatedRuntime(rounding_file(), memory=2**27) as runtime:
        np.testing.assert_array_equal(runtime.run([np.ones((1, 4), np.float32)])[0], np.ones((1, 2, 2)))
        with pytest.raises(FileError, match="Received"):
            runtime.run([np.zeros((2**21, 4), np.float32)], batch_size=2**21)


def test_an_interrupted_call_does_not_leave_its_answer_to_the_next(monkeypatch, samples):
    def interrupted(*_):
        raise KeyboardInterrupt

    with IsolatedRuntime(rounding_file()) as runtime:
        with monkeypatch.context() as patch:
            patch.setattr(child, "receive", interrupted)
            with pytest.raises(KeyboardInterrupt):
                runtime(samples)
        with pytest.raises(FileError, match="has ended before"):
            runtime(samples * 2)


def test_loading_in_isolation_needs_no_framework():
    """The process must start fast: it loads neither Keras nor a backend."""
    import subprocess

    code = (
        "import sys, kqat_runtime.running.isolated as _; "
        "print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
