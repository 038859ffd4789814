"""What operations on whole numbers and truth values share: they have no grid, and nothing is rounded.

Forward: the operation itself. Integers of fewer than 32 bits are computed in 32 and cut off, as Keras's wrap.
"""

import keras
import numpy as np

from kqat.lowering.arguments import bind
from kqat.lowering.base import Input, Lowering
from kqat.ops.arrays import as_numpy


class Whole(Lowering):
    """Base of operations that read or return no real numbers: the model runs the operation itself.

    Subclasses have `write`. Tensors on a grid are read as real numbers, unless `reads_levels`.
    """

    reads_levels = False  # whether levels do as well as the real numbers that they stand for

    def forward(self, step, *inputs):
        args, kwargs = bind(step, inputs)
        return step.op(*args, **kwargs)

    def emit(self, writer, step, inputs, name):
        return self.write(writer, step, inputs, output_spec(step, inputs), name)

    def write(self, writer, step, inputs, spec, name):
        """Appends the operators and returns their output.

        Args:
            writer: The file under construction.
            step: The step (NumPy).
            inputs: References of the tensors.
            spec: Symbolic output, or outputs: shapes and types.
            name: Name of the output.
        """
        raise NotImplementedError


def output_spec(step, inputs):
    """Returns the symbolic output of a step's operation for references, types included."""
    specs = [keras.KerasTensor(x.shape, "float32" if x.grid is not None else x.dtype) for x in inputs]
    args, kwargs = bind(step, specs)
    return step.op.compute_output_spec(*args, **kwargs)


def arithmetic_type(dtype: str) -> str:
    """Returns the type that the runtime computes in for a result of a type of Keras."""
    if keras.backend.is_float_dtype(dtype):
        return "float32"
    return "int64" if dtype == "int64" else "int32"


def result_type(step, inputs) -> str:
    """Returns the type that Keras brings all operands of a step to, as the runtime has it."""
    kinds = [
        _type_of(leaf, inputs) for leaf in keras.tree.flatten((step.args, step.kwargs)) if leaf is not None
    ]
    dtype = keras.backend.result_type(*kinds)
    return dtype if dtype == "bool" else arithmetic_type(dtype)


def _type_of(leaf, inputs):
    if isinstance(leaf, Input):
        x = inputs[leaf.position]
        return "float32" if x.grid is not None else x.dtype
    if isinstance(leaf, (bool, int, float)):
        return type(leaf)
    return keras.backend.standardize_dtype(np.asarray(as_numpy(leaf)).dtype.name)


def write_operand(writer, leaf, inputs, dtype: str, name: str):
    """Returns an argument of a call, a tensor or a constant, as a tensor of a type."""
    if isinstance(leaf, Input):
        return writer.cast(inputs[leaf.position], dtype, f"{name}/{dtype}")
    values = leaf if isinstance(leaf, (bool, int, float)) else as_numpy(leaf)
    return writer.constant(f"{name}/constant", np.asarray(values).astype(dtype))
