"""The weights of the file are the trained integers with the trained scales."""

import numpy as np

from kqat.formats.tflite.opened import FileTensor, Opened, fail
from kqat.program.program import ExpectedWeights, Program

_BYTES = {"int8": 1, "int32": 4, "int64": 8}


def check_weights(file: Opened, program: Program) -> None:
    """Compares type, size, bytes, number of nonzero weights, sum, scales and zero points of all weights."""
    for planned in program.weights:
        tensor, trained = file.tensors[planned.index], planned
        if tensor.type != "int8":
            fail(planned.layer, "weights of another type", "int8", tensor.type)
        if len(tensor.data) != tensor.size or tensor.size < np.size(trained.values):
            fail(
                planned.layer, "weights of another size", f"{np.size(trained.values)} bytes",
                f"shape {tensor.shape} in {len(tensor.data)} bytes",
            )  # fmt: skip
        _check_scales(planned.layer, "weights", tensor, np.ravel(trained.scale))
        expected, found = _digest(np.asarray(trained.values)), _digest(tensor.data.view(np.int8))
        if expected != found:
            fail(planned.layer, "other weights (number of nonzero ones, sum)", expected, found)


def _digest(values) -> tuple[int, int]:
    """Returns two numbers that do not depend on the order of whole numbers, nor on zeros among them."""
    return int(np.count_nonzero(values)), int(
        values.sum(dtype=np.float64 if values.dtype.kind == "f" else None)
    )


def _check_scales(layer: str, what: str, tensor: FileTensor, expected) -> None:
    expected = np.asarray(expected, np.float32)
    if tensor.scale.tobytes() != expected.tobytes():
        fail(layer, f"other scales of the {what}", expected, tensor.scale)
    if np.any(tensor.zero_point):
        fail(layer, f"a zero point of the {what}", 0, tensor.zero_point)
    if len(expected) > 1 and tensor.shape[tensor.axis] != len(expected):
        fail(layer, f"scales of the {what} along another axis", f"{len(expected)} channels", tensor.shape)


def check_biases(file: Opened, program: Program) -> None:
    """Compares type, size and scales of the bias that is added to the products of each layer's weights."""
    for planned in program.weights:
        for operator in file.operators:
            if planned.index in operator.inputs:
                for index in operator.inputs:
                    _check_bias(planned, file.tensors[index], index)


def _check_bias(planned: ExpectedWeights, tensor: FileTensor, index: int) -> None:
    if index < 0 or tensor.type not in ("int32", "int64") or not len(tensor.scale):
        return
    scale = np.float32(planned.input_scale) * np.asarray(planned.scale, np.float32)
    _check_scales(planned.layer, "bias", tensor, np.ravel(scale))
    if len(tensor.data) != tensor.size * _BYTES[tensor.type] or tensor.size != np.size(scale):
        fail(planned.layer, "a bias of another size", f"{np.size(scale)} values", f"{len(tensor.data)} bytes")
