"""Checks that bytes are a sound `.tflite` file before native code sees them."""

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kqat_runtime.errors import FileError
from kqat_runtime.running.flatbuffer import Reader

_TYPES = {code: name for name, code in vars(schema.TensorType).items() if not name.startswith("_")}
_BITS = {
    **dict.fromkeys(("INT2",), 2),
    **dict.fromkeys(("INT4", "UINT4"), 4),
    **dict.fromkeys(("INT8", "UINT8", "BOOL"), 8),
    **dict.fromkeys(("INT16", "UINT16", "FLOAT16", "BFLOAT16"), 16),
    **dict.fromkeys(("INT32", "UINT32", "FLOAT32"), 32),
    **dict.fromkeys(("INT64", "UINT64", "FLOAT64", "COMPLEX64"), 64),
}
_VERSION = 3
_LARGEST_TENSOR = 2**31  # bytes; more is not a model for this runtime but a damaged shape


def check_structure(content: bytes, packed: bool = False) -> None:
    """Walks a file and checks what the runtime would otherwise take on trust.

    Checked are the identifier, every offset, every index, shapes against stored bytes, quantization
    parameters, and that each operator reads only what was computed before it.

    Args:
        content: The file.
        packed: Whether UINT8 constants may hold several values a byte; see `packed_form`.

    Raises:
        FileError: Something does not hold; the message says what.
    """
    model = Reader(content).model()
    _check(model.get("version") == _VERSION, f"schema version {model.get('version')}, not {_VERSION}")
    graphs, buffers = model.get("subgraphs", []), model.get("buffers", [])
    _check(len(graphs) > 0, "no subgraph")
    for i, buffer in enumerate(buffers):
        outside = buffer.get("offset", 0) + buffer.get("size", 0) > len(content)
        _check(not outside, f"buffer {i} outside of the file")
    for graph in graphs:
        for i, tensor in enumerate(graph.get("tensors", [])):
            _check_tensor(tensor, f"tensor {i} '{tensor.get('name', '')}'", buffers, packed)
        _check_order(graph, len(model.get("operator_codes", [])), buffers)
    _check_references(model, graphs, buffers)


def _check(condition, problem: str) -> None:
    if not condition:
        raise FileError(
            f"The .tflite file is damaged. Received: a file with {problem}. Copy or export it again."
        )


def _check_tensor(tensor, name: str, buffers, packed: bool) -> None:
    kind = _TYPES.get(tensor.get("type", 0))
    _check(kind is not None, f"{name} of unknown type {tensor.get('type')}")
    shape = [int(size) for size in tensor.get("shape", ())]
    _check(all(size >= 0 for size in shape), f"{name} of shape {shape}")
    signature = tensor.get("shape_signature", ())
    _check(len(signature) in (0, len(shape)), f"{name} of shape {shape} and signature {list(signature)}")
    index = tensor.get("buffer", 0)
    _check(index < max(len(buffers), 1), f"{name} in buffer {index} of {len(buffers)}")
    _check_quantization(tensor.get("quantization", {}), shape, name)
    bits = _BITS.get(kind or "")
    if bits is None:
        return
    size = -(-math.prod(shape) * bits // 8)
    _check(size <= _LARGEST_TENSOR, f"{name} of {size} bytes")
    stored = _stored_bytes(tensor, buffers)
    if stored and "sparsity" not in tensor:
        several = packed and kind == "UINT8" and stored in [-(-size * part // 8) for part in (1, 2, 4)]
        _check(
            several or stored == size,
            f"{name} of shape {shape}, {kind}, stored in {stored} bytes, not {size}",
        )


def _stored_bytes(tensor, buffers) -> int:
    index = tensor.get("buffer", 0)
    if not index:
        return 0
    return len(buffers[index].get("data", ())) or buffers[index].get("size", 0)


def _check_quantization(parameters, shape, name: str) -> None:
    scale, zero_point = parameters.get("scale", np.empty(0)), parameters.get("zero_point", np.empty(0))
    # Zero scales occur in sound files; the runtime takes them for "not quantized".
    _check(bool(np.all(np.isfinite(scale)) and np.all(scale >= 0)), f"{name} of scale {scale}")
    _check(
        len(zero_point) in (0, 1, len(scale)), f"{name} of {len(scale)} scales, {len(zero_point)} zero points"
    )
    if len(scale) > 1:
        axis = parameters.get("axis", 0)
        _check(0 <= axis < len(shape), f"{name} of rank {len(shape)} quantized along axis {axis}")
        _check(
            len(scale) == shape[axis], f"{name} of shape {shape} with {len(scale)} scales along axis {axis}"
        )


def _check_order(graph, codes: int, buffers) -> None:
    """Checks every index of a graph, and that operators read only constants and earlier results."""
    tensors = graph.get("tensors", [])
    inputs, outputs = list(graph.get("inputs", ())), list(graph.get("outputs", ()))
    _check(
        all(0 <= i < len(tensors) for i in (*inputs, *outputs)), "graph inputs or outputs that do not exist"
    )
    known = {i for i, t in enumerate(tensors) if t.get("is_variable") or _stored_bytes(t, buffers)}
    known |= {i for i, t in enumerate(tensors) if 0 in t.get("shape", ())} | set(inputs)
    for number, operator in enumerate(graph.get("operators", [])):
        code = operator.get("code", 0)
        _check(code < codes, f"operator {number} of kind {code} of {codes}")
        reads, writes = operator.get("inputs", ()), operator.get("outputs", ())
        _check(all(-1 <= i < len(tensors) for i in reads), f"operator {number} that reads no existing tensor")
        _check(
            all(0 <= i < len(tensors) for i in writes), f"operator {number} that writes no existing tensor"
        )
        inner = operator.get("intermediates", ())
        _check(all(-1 <= i < len(tensors) for i in inner), f"operator {number} with unknown intermediates")
        early = [i for i in reads if i != -1 and i not in known]
        _check(not early, f"operator {number} that reads tensors {early} before they are computed")
        known |= set(writes)
    _check(all(i in known for i in outputs), "an output that nothing computes")


def _check_references(model, graphs, buffers) -> None:
    for entry in model.get("metadata", []):
        _check(entry.get("buffer", 0) < len(buffers), f"metadata '{entry.get('name')}' in no existing buffer")
    for signature in model.get("signature_defs", []):
        index = signature.get("subgraph", 0)
        _check(index < len(graphs), f"a signature of subgraph {index} of {len(graphs)}")
        count = len(graphs[index].get("tensors", []))
        maps = (*signature.get("inputs", []), *signature.get("outputs", []))
        _check(all(m.get("tensor", 0) < count for m in maps), "a signature of tensors that do not exist")
