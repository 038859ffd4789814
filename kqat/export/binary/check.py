"""Every binary layer of the model is one binary convolution of the file, with the signs of its kernel."""

from collections import Counter

import numpy as np

from kqat.export.binary.operators import BCONV
from kqat.export.checks.ends import check_ends
from kqat.export.checks.floats import check_floats
from kqat.export.checks.grids import check_grids
from kqat.export.checks.operators import check_operators
from kqat.export.checks.tensors import check_tensors
from kqat.export.checks.weights import check_biases, check_weights
from kqat.formats.tflite.opened import Opened, fail
from kqat.program.program import Program
from kqat_runtime.running.lce_reference import unpack_signs

_CHECKS = (
    check_operators, check_tensors, check_ends, check_grids, check_weights, check_biases, check_floats,
)  # fmt: skip


def check_binary(content: bytes, program: Program, emitter) -> Opened:
    """Compares a file with what was planned.

    Args:
        content: The file.
        program: What was to be written.
        emitter: Who wrote it (`BinaryEmitter`).

    Returns:
        The opened file.

    Raises:
        ExportError: Something is not as planned; the message names the layer.
    """
    file = Opened(content)
    for check in _CHECKS:
        check(file, program)
    filters: dict[str, list] = {}
    for planned, found in zip(program.operations, file.operators, strict=True):
        if found.builtin == BCONV:
            filters.setdefault(planned.layer, []).append(file.tensors[found.inputs[1]])
    calls = Counter(node.path for node in emitter.graph.nodes if node.path in emitter.binary)
    for node in emitter.graph.nodes:
        layer = emitter.binary.get(node.path)
        if layer is None:
            continue
        written = filters.get(node.path, [])
        if len(written) != calls[node.path]:
            fail(node.path, "binary convolutions missing", calls[node.path], len(written))
        for tensor in written:
            _check_signs(node.path, layer.signs, tensor)
    return file


def _check_signs(name: str, signs: np.ndarray, tensor) -> None:
    """Compares filters with a kernel, up to a change of sign of an input and of an output channel."""
    packed = tensor.data.view("<i4").reshape(tensor.shape)
    found = unpack_signs(packed, signs.size // np.prod(tensor.shape[:3], dtype=int)).transpose(1, 2, 3, 0)
    if found.size != signs.size:
        fail(name, "filters of another size", signs.size, found.size)
    product = found * signs.reshape(found.shape)
    relative = product * product[:1, :1, :1] * product[:1, :1, :, :1] * product[0, 0, 0, 0]
    if not np.all(relative == 1):
        fail(name, "other signs of its kernel", "those of the model", f"{int(np.sum(relative != 1))} others")
