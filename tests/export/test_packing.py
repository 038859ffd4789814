"""Packed files: the exact file comes back, plain LiteRT does what is claimed, damage is an error."""

import json
import time
import zlib

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from kqat.core.errors import FileError
from kqat.export.packing.pack import pack_file, packing_notes
from kqat_runtime.packing.bits import packed_size
from kqat_runtime.packing.expand import expand_file, packed_tensors
from kqat_runtime.packing.form import ENTRY, sealed, unsealed, write_model
from kqat_runtime.running.flatbuffer import Reader
from kqat_runtime.running.isolated import IsolatedRuntime
from kqat_runtime.running.runtime import Runtime
from tests.export.packed_files import Builder, codes, net, run_plainly, single

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
SHAPES = {"FULLY_CONNECTED": (8,)}
STORED = {1: 1, 2: 2, 3: 4, 4: 4}


def tensors(content):
    model = Reader(content).model()
    return model["subgraphs"][0]["tensors"], model["buffers"]


def stored_types(content, widths):
    names = {code: name for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
    return {names[tensors(content)[0][i]["type"]] for i in widths}


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_the_exact_file_comes_back(bits):
    content, widths = net(bits)
    packed = pack_file(content, widths)
    assert expand_file(packed) == content
    assert packed_tensors(packed) == dict.fromkeys(widths, STORED[bits])
    saved = sum(
        np.prod(tensors(content)[0][i]["shape"]) - packed_size(np.prod(tensors(content)[0][i]["shape"]), b)
        for i, b in packed_tensors(packed).items()
    )
    assert len(content) - len(packed) > saved - 400  # what the list of tensors and the last bytes take


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_packed_file_computes_what_the_exact_one_does(bits):
    content, widths = net(bits)
    x = codes((8, 8, 8))
    ours, exact = Runtime(pack_file(content, widths)), Runtime(content)
    np.testing.assert_array_equal(ours.run([x], real=False)[0], exact.run([x], real=False)[0])
    assert ours.delegation == exact.delegation
    assert ours.delegation.whole


def test_wide_weights_stay_as_they_are():
    for bits in (5, 8):
        content, widths = net(bits)
        assert pack_file(content, widths) is content
        assert expand_file(content) is content
        assert packed_tensors(content) == {}


def test_values_decide_where_the_grid_is_narrower():
    """A sign grid on which some levels are 0 takes 2 bits; a grid with a level of -8 still takes 4."""
    shape = (16, 3, 3, 8)
    for bits, values, stored in ((1, [-1, 0, 1], 2), (3, [-8, 7], 4), (2, [3, 0], 4), (4, [-9, 0], None)):
        weights = np.resize(np.int8(values), shape)
        content, widths = Builder((8, 8, 8)).layer("CONV_2D", bits, weights).finish()
        packed = pack_file(content, widths)
        assert list(packed_tensors(packed).values()) == ([stored] if stored else [])
        assert expand_file(packed) == content


def test_equal_weights_stay_stored_once():
    weights = np.resize(np.int8([-7, 0, 7]), (16, 3, 3, 16))
    builder = Builder((8, 8, 16)).layer("CONV_2D", 4, weights).layer("CONV_2D", 4, weights)
    content, widths = builder.finish()
    packed = pack_file(content, widths)
    assert len({tensors(packed)[0][i]["buffer"] for i in widths}) == len(widths) - 1 == 1
    assert expand_file(packed) == content


def test_data_that_something_else_reads_stays():
    """128 weights of 0 have the bytes of 32 biases of 0."""
    builder = Builder((8,))
    content, widths = builder.layer("FULLY_CONNECTED", 4, np.zeros((16, 8), np.int8)).finish()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (index,) = widths
    other = next(t for t in model.subgraphs[0].tensors if t.name == b"b1")
    other.buffer, other.shape = model.subgraphs[0].tensors[index].buffer, [32]
    other.quantization = None
    content = write_model(model)
    assert pack_file(content, widths) is content


def test_constants_lie_on_sixteen_bytes():
    for content in (pack_file(*net(4)), expand_file(pack_file(*net(2)))):
        model = schema.Model.GetRootAs(content)
        for i in range(1, model.BuffersLength()):
            address = content.find(model.Buffers(i).DataAsNumpy().tobytes())
            assert address % 16 == 0


@pytest.mark.parametrize("widths", [{0: 4}, {99: 4}, {-1: 4}])
def test_only_constants_can_be_packed(widths):
    with pytest.raises(ValueError, match="Only INT8 constants.*Program.widths"):
        pack_file(net(4)[0], widths)


def test_packing_twice_is_refused():
    content, widths = net(4)
    with pytest.raises(FileError, match="packed already"):
        pack_file(pack_file(content, widths), widths)


# Plain LiteRT. What these tests measure is what `packing_notes` and the documentation say.


@pytest.mark.parametrize(("kind", "bits"), [("FULLY_CONNECTED", 4), ("FULLY_CONNECTED", 2)])
def test_plain_litert_computes_dense_layers_exactly(kind, bits):
    content, widths = single(kind, bits)
    packed = pack_file(content, widths)
    x = codes((8,), 256)
    result, delegation = run_plainly(packed, x)
    assert delegation.whole
    np.testing.assert_array_equal(result, run_plainly(content, x)[0])
    assert packing_notes(packed)[0] == f"{kind} x1 with {bits}-bit weights: plain LiteRT computes the same"


@pytest.mark.parametrize(
    ("kind", "inside"), [("CONV_2D", 8), ("DEPTHWISE_CONV_2D", 8), ("FULLY_CONNECTED", 7)]
)
def test_plain_litert_rounds_other_layers_of_four_bits_twice(kind, inside):
    content, widths = single(kind, 4, inside)
    packed = pack_file(content, widths)
    x = codes((inside,) if kind == "FULLY_CONNECTED" else (8, 8, inside), 256)
    result, delegation = run_plainly(packed, x)
    assert not delegation.applied
    difference = np.abs(result.astype(int) - run_plainly(content, x)[0])
    assert difference.max() == 1
    assert 0 < np.mean(difference > 0) < 0.04  # of 8-bit outputs; about 0.023 was measured at most
    note = f"{kind} x1 with 4-bit weights: plain LiteRT is slower and may be off by one step"
    assert packing_notes(packed)[0] == note
    np.testing.assert_array_equal(
        Runtime(packed).run([x], real=False)[0], Runtime(content).run([x], real=False)[0]
    )


REFUSED = [
    *[(kind, bits, 8) for kind in ("CONV_2D", "DEPTHWISE_CONV_2D") for bits in (1, 2)],
    ("FULLY_CONNECTED", 1, 8),
    *[("TRANSPOSE_CONV", bits, 8) for bits in (1, 2, 4)],
    *[("CONV_2D", bits, 16) for bits in (1, 2, 4)],
    *[("DEPTHWISE_CONV_2D", bits, 16) for bits in (1, 2, 4)],  # would be silently wrong as INT4
]


@pytest.mark.parametrize(("kind", "bits", "activation_bits"), REFUSED)
def test_plain_litert_refuses_what_it_has_no_kernel_for(kind, bits, activation_bits):
    content, widths = single(kind, bits, activation_bits=activation_bits)
    packed = pack_file(content, widths)
    x = codes((8,) if kind == "FULLY_CONNECTED" else (8, 8, 8), 1, f"int{activation_bits}")
    with pytest.raises((RuntimeError, ValueError), match=r"was not true|failed to prepare"):
        run_plainly(packed, x)
    assert packing_notes(packed)[0] == f"{kind} x1 with {bits}-bit weights: plain LiteRT refuses the file"
    assert expand_file(packed) == content
    Runtime(packed)


def test_notes_count_operators_and_end_with_the_remedy():
    packed = pack_file(*net(4))
    assert [note.split(":")[0] for note in packing_notes(packed)[:-1]] == [
        f"{kind} x1 with 4-bit weights" for kind in sorted(LAYERS)
    ]
    assert "kqat.runtime.load" in packing_notes(packed)[-1]
    assert packing_notes(net(4)[0]) == []


# Damage.


@pytest.fixture(scope="module")
def packed():
    return pack_file(*net(4))


def test_every_truncation_is_an_error(packed):
    for length in [*range(0, len(packed), 97), *range(len(packed) - 40, len(packed))]:
        with pytest.raises(FileError):
            Runtime(packed[:length])
    with pytest.raises(FileError, match="missing or not its own"):
        expand_file(packed + b"\0")


@settings(max_examples=150)
@given(st.data())
def test_every_change_is_an_error(packed, data):
    """Whatever is overwritten, the file is refused before the runtime sees it."""
    changed = bytearray(packed)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(changed) - 1))
        part = data.draw(st.binary(min_size=1, max_size=4))
        changed[start : start + len(part)] = part[: len(changed) - start]
    if changed == packed:
        assert expand_file(bytes(changed)) == net(4)[0]
    else:
        with pytest.raises(FileError):
            expand_file(bytes(changed))


def test_every_single_bit_counts(packed):
    for position in range(0, len(packed), 53):
        changed = bytearray(packed)
        changed[position] ^= 1 << (position % 8)
        with pytest.raises(FileError):
            Runtime(bytes(changed))


@pytest.mark.parametrize("marker", [b"KQATPACK", ENTRY.encode()])
def test_a_damaged_marker_does_not_make_it_a_plain_file(packed, marker):
    assert packed.count(marker) == 1
    with pytest.raises(FileError):
        expand_file(packed.replace(marker, b"x" * len(marker)))


def test_damage_in_a_process_of_its_own_is_a_clean_error(packed):
    changed = bytearray(packed)
    changed[len(changed) // 2] ^= 1
    with pytest.raises(FileError, match="checksum"):
        IsolatedRuntime(bytes(changed))
    x = codes((8, 8, 8), 2)
    with IsolatedRuntime(packed) as runtime:
        np.testing.assert_array_equal(
            runtime.run([x], real=False)[0], Runtime(packed).run([x], real=False)[0]
        )


# A hostile file: its checksum is right.


def forged(packed, change):
    """A packed file after `change(model)`, with a checksum that fits."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(unsealed(packed)))
    change(model)
    return sealed(write_model(model))


def entry_of(value):
    def change(model):
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        model.buffers[model.metadata[-1].buffer].data = np.frombuffer(text, np.uint8)

    return change


def no_entry(model):
    model.metadata[-1].name = "other"
    model.metadata[0].name = ENTRY


def entry_in_weights(model):
    model.metadata[-1].buffer = model.subgraphs[0].tensors[1].buffer


def other_type(model):
    weights = next(t for t in model.subgraphs[0].tensors if t.name == b"w1")
    weights.type = schema.TensorType.UINT4


def second_reader(model):
    """A tensor that takes the packed bytes for biases."""
    weights, bias = (next(t for t in model.subgraphs[0].tensors if t.name == n) for n in (b"w3", b"b1"))
    bias.buffer, bias.shape = weights.buffer, [16 * 1024 // 2 // 4]
    bias.quantization = None


def good_lists(packed):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(unsealed(packed)))
    return json.loads(bytes(model.buffers[model.metadata[-1].buffer].data))


def changed_list(key, pairs):
    return lambda packed: entry_of({**good_lists(packed), key: pairs(good_lists(packed)[key])})


def constant_change(change):
    return lambda packed: change


HOSTILE = {
    "nothing": constant_change(entry_of(b"")),
    "not json": constant_change(entry_of(b"\xff{")),
    "deep": constant_change(entry_of(b"[" * 100_000)),
    "a number": constant_change(entry_of(7)),
    "no lists": constant_change(entry_of({})),
    "cyclic": constant_change(entry_of({"tensors": {"tensors": []}, "versions": []})),
    "text": changed_list("tensors", lambda pairs: [[str(i), b] for i, b in pairs]),
    "fractions": changed_list("tensors", lambda pairs: [[i + 0.5, b] for i, b in pairs]),
    "truth": changed_list("tensors", lambda pairs: [[True, b] for _, b in pairs[:1]]),
    "triples": changed_list("tensors", lambda pairs: [[*pair, 1] for pair in pairs]),
    "twice": changed_list("tensors", lambda pairs: pairs * 2),
    "negative": changed_list("tensors", lambda pairs: [[i - 1000, b] for i, b in pairs]),
    "beyond": changed_list("tensors", lambda pairs: [[i + 1000, b] for i, b in pairs]),
    "neighbours": changed_list("tensors", lambda pairs: [[i + 1, b] for i, b in pairs]),
    "huge": changed_list("tensors", lambda pairs: [[10**400, b] for _, b in pairs[:1]]),
    "no bits": changed_list("tensors", lambda pairs: [[i, 0] for i, _ in pairs]),
    "fewer bits": changed_list("tensors", lambda pairs: [[i, 1] for i, _ in pairs]),
    "other bits": changed_list("tensors", lambda pairs: [[i, 2] for i, _ in pairs]),
    "many bits": changed_list("tensors", lambda pairs: [[i, 1 << 40] for i, _ in pairs]),
    "unknown code": changed_list("versions", lambda pairs: [[99, 1]]),
    "negative code": changed_list("versions", lambda pairs: [[-1, 1]]),
    "version 0": changed_list("versions", lambda pairs: [[code, 0] for code, _ in pairs]),
    "newer version": changed_list("versions", lambda pairs: [[code, 99] for code, _ in pairs]),
    "no entry": constant_change(no_entry),
    "shared entry": constant_change(entry_in_weights),
    "other type": constant_change(other_type),
    "second reader": constant_change(second_reader),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_lists_are_refused_at_once(packed, name):
    content = forged(packed, HOSTILE[name](packed))
    start = time.perf_counter()
    with pytest.raises(FileError, match="damaged|runtime"):
        Runtime(content)
    assert time.perf_counter() - start < 5  # seconds; milliseconds on an idle machine


def test_the_forging_of_these_tests_keeps_a_sound_file_sound(packed):
    assert expand_file(forged(packed, lambda model: None)) == net(4)[0]


@settings(max_examples=60)
@given(st.data())
def test_damage_under_a_right_checksum_stays_clean(packed, data):
    """No change of the file proper makes the loader hang or raise anything but `FileError`."""
    body = bytearray(unsealed(packed))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body) - 4))
        body[start : start + 4] = data.draw(st.binary(min_size=4, max_size=4))
    content = sealed(bytes(body))
    assert zlib.crc32(body) == int.from_bytes(content[-4:], "little")
    try:
        expanded = expand_file(content)
    except FileError:
        return
    assert len(expanded) < 8 * len(content) + 4096
