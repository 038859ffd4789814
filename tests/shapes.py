"""Demands that a file declares for every tensor the shape that the runtime computes for it."""

from ai_edge_litert.interpreter import Interpreter, OpResolverType

# Without the tensors that a delegate adds. LiteRT goes by the shapes that it computes: a wrong one in the
# file would be met only by runtimes that believe it, as that of microcontrollers does.
_PLAIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def assert_declared_shapes(content):
    """Demands that every size in a file is the one that the runtime computes, but those declared as free."""
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=_PLAIN, num_threads=1)
    declared = interpreter.get_tensor_details()
    interpreter.allocate_tensors()
    computed = {one["index"]: one["shape"] for one in interpreter.get_tensor_details()}
    wrong = [one["name"] for one in declared if not _fits(one, computed[one["index"]])]
    assert not wrong, f"declared in other shapes than computed: {wrong}"


def _fits(declared, shape):
    sizes = declared["shape_signature"] if len(declared["shape_signature"]) else declared["shape"]
    return len(sizes) == len(shape) and all(a in (-1, b) for a, b in zip(sizes, shape, strict=True))
