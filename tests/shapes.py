"""Demands that a file declares for every tensor the shape that the runtime computes for it."""

from ai_edge_litert.interpreter import Interpreter, OpResolverType

# Without the tensors that a delegate adds. LiteRT goes by the shapes that it computes: a wrong one in a file
# would be met only by runtimes that believe it, as that of microcontrollers does.
_PLAIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def assert_declared_shapes(content):
    """Demands that no shape in a file is another one than the runtime computes from those of the inputs."""
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=_PLAIN, num_threads=1)
    before = {one["index"]: (one["name"], list(one["shape"])) for one in interpreter.get_tensor_details()}
    interpreter.allocate_tensors()
    after = {one["index"]: (one["name"], list(one["shape"])) for one in interpreter.get_tensor_details()}
    wrong = {
        name: (shape, after[index][1]) for index, (name, shape) in before.items() if after[index][1] != shape
    }
    assert not wrong, f"declared and computed: {wrong}"
