"""The deployed operations and tensors of a model: what a format writes, and a check compares a file with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kqat.core.grid import Grid

# What an operation computes with; binary ones read and write signs, floats or integers, foreign ones are
# those that TensorFlow's converter wrote for an operation without a lowering.
INTEGER, FLOAT, BORDER, BINARY, FOREIGN = "integer", "float", "border", "binary", "foreign"


@dataclass(frozen=True)
class Ref:
    """A tensor that operations read and write.

    Args:
        index: Position among the tensors of the program.
        name: Its name.
        shape: Dimensions; the batch is `None` where it is dynamic.
        dtype: Name of the stored type, for example `"int8"`; `"int4"` and `"int2"` for packed constants.
        grid: Level grid (NumPy) of a quantized activation, `None` for every other tensor.
        zero_point: The code of level 0.
        data: The bytes of a constant, else `None`.
        scale: Steps of quantized values, float32: one, or one per slice along `axis`.
        axis: The dimension that several scales run along.
        bits: Width of the grid that the values of a constant lie on, for packed storage.
        attribute: Which of several weights of its layer a constant holds.
        free: Which dimensions are free, where others than the batch are: sizes, -1 for a free one.
    """

    index: int
    name: str
    shape: tuple[int | None, ...]
    dtype: str
    grid: Grid | None = None
    zero_point: int = 0
    data: bytes | None = field(default=None, compare=False, repr=False)
    scale: Any = field(default=None, compare=False, repr=False)
    axis: int = 0
    bits: int | None = None
    attribute: str | None = None
    free: tuple[int, ...] | None = None

    @property
    def scales(self) -> np.ndarray:
        """Its scales, float32; empty if it is not quantized."""
        return np.empty(0, np.float32) if self.scale is None else np.ravel(np.asarray(self.scale, np.float32))


@dataclass(frozen=True)
class ForeignOptions:
    """The options of an operation that was copied from a file, which nothing here reads.

    Args:
        version: Version of the operator there.
        tables: Type and table of the options, and of the second options, as the schema has them.
    """

    version: int
    tables: tuple[int, Any, int, Any]


@dataclass(frozen=True)
class Operation:
    """One operation of the program.

    Args:
        layer: On whose behalf it is there.
        kind: `"integer"`, `"float"`, `"border"` for a change between float and integers, `"binary"` or
            `"foreign"`.
        builtin: Its name in the schema's `BuiltinOperator`, or the name under which another library has it.
        inputs: Indices of the tensors that it reads, -1 for one left out.
        outputs: Indices of those that it writes.
        options: Name of the schema's options table, if it has one.
        fields: Fields of that table; of an operation of another library, its whole numbers.
        foreign: Options that are copied as they are.
    """

    layer: str
    kind: str
    builtin: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, compare=False)
    foreign: ForeignOptions | None = None


@dataclass(frozen=True)
class ExpectedWeights:
    """The integer weights that training left of one layer.

    Args:
        layer: Its name.
        index: The tensor that is to hold them.
        values: Whole numbers.
        scale: Step of each output channel.
        input_scale: Scale of the layer's input; with that of the weights it is the bias's.
    """

    layer: str
    index: int
    values: Any
    scale: Any
    input_scale: float


@dataclass(frozen=True)
class ExpectedGrid:
    """The trained grid of one tensor.

    Args:
        layer: The layer, or quantizer, that the grid belongs to.
        index: The tensor.
        grid: Scale and levels (NumPy).
        zero_point: Code of level 0.
    """

    layer: str
    index: int
    grid: Grid
    zero_point: int


@dataclass(frozen=True)
class Program:
    """A deployed model.

    Args:
        tensors: All tensors.
        operations: In the order in which they run.
        inputs: Indices of the tensors that a caller sets, in call order.
        outputs: Indices of those that a caller reads.
        input_names: Names of the inputs for callers.
        output_names: Likewise.
        description: Free text.
        metadata: JSON-serializable facts.
        weights: What training left of the layers that have any.
        grids: The grid of every tensor that a quantizer of the model rounds.
    """

    tensors: tuple[Ref, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    description: str = ""
    metadata: Mapping[str, Any] | None = None
    weights: tuple[ExpectedWeights, ...] = ()
    grids: tuple[ExpectedGrid, ...] = ()

    @property
    def widths(self) -> dict[int, int]:
        """Bits of each constant that packed storage can shrink, by its index."""
        return {ref.index: ref.bits for ref in self.tensors if ref.bits is not None}

    def type(self, index: int) -> str | None:
        """Returns the type of a tensor, `None` for one left out."""
        return None if index < 0 else self.tensors[index].dtype
