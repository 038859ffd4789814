"""One file for every batch size, out of two files for one size each.

Asked for a free size, TensorFlow's converter writes operators that compute shapes at run time, of which
XNNPACK takes none. Between two files of fixed sizes only the batch differs, so that its places are known.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SIZES = (2, 3)  # no axis of a model is likely to change with them by chance


def is_free(content: bytes) -> bool:
    """Tells whether a file computes no shapes at run time, and only the batch of its tensors is free."""
    model = _opened(content)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    signatures = [t.shapeSignature for graph in model.subgraphs for t in graph.tensors]
    inner = any(-1 in list(signature)[1:] for signature in signatures if signature is not None)
    return schema.BuiltinOperator.SHAPE not in codes and not inner


def merged(first: bytes, second: bytes) -> bytes | None:
    """Returns the file of which two are the forms for batches of `SIZES`; `None` if they are of none.

    Args:
        first: The file for the first size.
        second: The file for the second one.
    """
    a, b = _opened(first), _opened(second)
    if len(a.subgraphs) != 1 or len(b.subgraphs) != 1:
        return None
    left, right = a.subgraphs[0], b.subgraphs[0]
    if len(left.tensors) != len(right.tensors) or _operators(a) != _operators(b):
        return None
    reshapes = _reshape_targets(a)
    for index, (mine, other) in enumerate(zip(left.tensors, right.tensors, strict=True)):
        if not _merge_shape(mine, other) or not _merge_constant(a, b, mine, other, index in reshapes):
            return None
    for operator in left.operators:
        if operator.builtinOptionsType == schema.BuiltinOptions.ReshapeOptions:
            operator.builtinOptions.newShape = None  # the tensor says it
    builder = flatbuffers.Builder(len(first))
    builder.Finish(a.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _opened(content: bytes):
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))


def _operators(model) -> list[tuple]:
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return [(codes[o.opcodeIndex], *map(int, (*o.inputs, *o.outputs))) for o in model.subgraphs[0].operators]


def _reshape_targets(model) -> set[int]:
    """Returns the tensors that say what shape a RESHAPE makes."""
    reshape = schema.BuiltinOperator.RESHAPE
    return {inputs[2] for inputs in _operators(model) if inputs[0] == reshape}


def _merge_shape(mine, other) -> bool:
    """Frees the axis of a tensor that differs; returns whether nothing else does."""
    a, b = ([] if tensor.shape is None else list(tensor.shape) for tensor in (mine, other))
    if a == b:
        return mine.type == other.type
    different = [i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y]
    if len(a) != len(b) or len(different) != 1:
        return False
    (axis,) = different
    if a[axis] * SIZES[1] != b[axis] * SIZES[0]:
        return False
    mine.shapeSignature = [-1 if i == axis else size for i, size in enumerate(a)]
    mine.shape = [1 if i == axis else size for i, size in enumerate(a)]
    return mine.type == other.type


def _merge_constant(a, b, mine, other, is_target: bool) -> bool:
    """Frees the entry of a shape that differs; returns whether nothing else does."""
    left, right = (model.buffers[tensor.buffer].data for model, tensor in ((a, mine), (b, other)))
    if (left is None or not len(left)) and (right is None or not len(right)):
        return True
    if left is None or right is None or len(left) != len(right):
        return False
    if np.array_equal(left, right):
        return True
    if not is_target or mine.type != schema.TensorType.INT32:
        return False
    sizes, others = (np.frombuffer(bytes(bytearray(data)), np.int32) for data in (left, right))
    different = np.flatnonzero(sizes != others)
    if len(different) != 1 or -1 in sizes:
        return False
    sizes = sizes.copy()
    sizes[different] = -1
    a.buffers[mine.buffer].data = np.frombuffer(sizes.tobytes(), np.uint8)
    return True
