"""Builds a program, tensor by tensor and operation by operation; what lowerings append to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from kqat.core.grid import INT8_MAX, INT8_MIN, Grid
from kqat.program.program import (
    INTEGER,
    ExpectedGrid,
    ExpectedWeights,
    ForeignOptions,
    Operation,
    Program,
    Ref,
)


def default_zero_point(grid: Grid) -> int:
    """Returns the usual code of level 0.

    In int8 the lowest level lies on the lowest code. The int16 kernels want a zero point of 0.

    Raises:
        ValueError: An int16 grid is not symmetric enough for a zero point of 0.
    """
    if grid.storage_bits == 8:
        return INT8_MIN - int(grid.qmin)
    if not -(2**15) <= int(grid.qmin) <= 0 < int(grid.qmax) < 2**15:
        raise ValueError(
            "A grid of more than 256 levels needs zero point 0 in an int16 tensor. Received: levels "
            f"{int(grid.qmin)} to {int(grid.qmax)}. Use a symmetric range."
        )
    return 0


class Writer:
    """A program in the making: lowerings append to it, `program` returns it."""

    def __init__(self):
        self.refs: list[Ref] = []  # every tensor, in the order of the program
        self.operations: list[Operation] = []
        self.weights: list[ExpectedWeights] = []
        self.grids: list[ExpectedGrid] = []
        self._names: dict[str, int] = {}
        self._owner: tuple[str, str] = (
            "",
            INTEGER,
        )  # on whose behalf operations are appended, and of what kind

    @contextmanager
    def owned(self, kind: str, layer: str | None = None) -> Iterator[None]:
        """Has the operations that are appended inside belong to a layer.

        Args:
            kind: One of the kinds of `Operation`.
            layer: Its name; by default the layer of the moment.
        """
        before = self._owner
        self._owner = (before[0] if layer is None else layer, kind)
        try:
            yield
        finally:
            self._owner = before

    def input(self, name, shape, dtype="float32", grid: Grid | None = None, zero_point=None) -> Ref:
        """Adds a graph input; with `grid` an int8 one."""
        return self.activation(name, shape, grid, zero_point, dtype)

    def activation(self, name, shape, grid: Grid | None = None, zero_point=None, dtype="float32") -> Ref:
        """Adds a tensor that an operator will fill.

        Args:
            name: Name in the file; a number is appended when it is taken.
            shape: Dimensions, `None` for a dynamic batch.
            grid: Level grid of a quantized tensor, which is then stored as int8 or int16.
            zero_point: Code of level 0; by default the lowest level gets the code -128.
            dtype: Stored type of a tensor without a grid; with one, `"uint8"` instead of int8.
        """
        if grid is None:
            return self._tensor(name, shape, dtype)
        zero_point = default_zero_point(grid) if zero_point is None else int(zero_point)
        stored = dtype if dtype == "uint8" else f"int{grid.storage_bits}"
        return self._tensor(name, shape, stored, grid=grid, zero_point=zero_point, scale=grid.scale)

    def constant(self, name, array, scale=None, zero_point=0, axis=0, bits=None, attribute=None) -> Ref:
        """Adds a constant; equal bytes are stored once.

        Args:
            name: Its name.
            array: The stored values, in their stored type.
            scale: Step of quantized values, a scalar, or one per slice along `axis`.
            zero_point: Code of real 0.
            axis: The dimension that `scale` runs along when it has more than one element.
            bits: Width of the grid that integer values lie on, for packed storage.
            attribute: Which of several weights of its layer it holds.
        """
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        facts = {"scale": scale, "zero_point": int(zero_point), "axis": axis, "bits": bits}
        return self._tensor(
            name, array.shape, array.dtype.name, data=array.tobytes(), attribute=attribute, **facts
        )

    def _tensor(self, name, shape, dtype, **facts) -> Ref:
        shape = tuple(None if size is None else int(size) for size in shape)
        if shape.count(None) > 1:
            raise ValueError(
                f"Only the batch may be of unknown size in a file; tensor {name!r}. Received: shape={shape}. "
                "Use export_tflite(..., input_shapes=...), or fixed sizes such as keras.Input((224, 224, 3))."
            )
        self.refs.append(Ref(len(self.refs), self._unique(name), shape, dtype, **facts))
        return self.refs[-1]

    def renamed(self, ref: Ref, name: str) -> Ref:
        """Returns a tensor that an operator fills under another name, numbered if it is taken."""
        return self._replaced(ref, name=self._unique(name))

    def freed(self, ref: Ref, sizes: Sequence[int]) -> Ref:
        """Returns a tensor of fixed sizes with others that a runtime may give it: -1 for a free one."""
        return self._replaced(ref, free=tuple(int(size) for size in sizes))

    def _replaced(self, ref: Ref, **facts) -> Ref:
        self.refs[ref.index] = replace(self.refs[ref.index], **facts)
        return self.refs[ref.index]

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if count == 0 else self._unique(f"{name}_{count}")

    def operator(
        self,
        builtin: str,
        inputs: Sequence[Ref | None],
        outputs: Sequence[Ref],
        options: str | None = None,
        **fields,
    ) -> None:
        """Appends a built-in operator.

        Args:
            builtin: Name in the schema's `BuiltinOperator`, for example `"CONV_2D"`.
            inputs: Tensors; `None` for an optional input left out.
            outputs: Tensors.
            options: Name of the schema's options table, for example `"Conv2DOptions"`.
            **fields: Fields of the options table; enum values by name (`padding="SAME"`).
        """
        self._append(builtin, inputs, outputs, options=options, fields=fields)

    def custom(self, name: str, inputs: Sequence[Ref | None], outputs: Sequence[Ref], **options: int) -> None:
        """Appends an operator of another library, which a runtime knows by its name.

        Args:
            name: Its name, for example `"LceBconv2d"`.
            inputs: Tensors; `None` for an optional input left out.
            outputs: Tensors.
            **options: Whole numbers.
        """
        self._append(name, inputs, outputs, fields=options)

    def foreign(
        self, builtin: str, inputs: Sequence[Ref | None], outputs: Sequence[Ref], options: ForeignOptions
    ) -> None:
        """Appends an operator as another file has it."""
        self._append(builtin, inputs, outputs, foreign=options)

    def _append(self, kind: str, inputs, outputs, **rest) -> None:
        read = tuple(-1 if ref is None else ref.index for ref in inputs)
        self.operations.append(
            Operation(*self._owner, kind, read, tuple(ref.index for ref in outputs), **rest)
        )

    def reshape(self, x: Ref, shape, name: str) -> Ref:
        """Appends a RESHAPE; the result keeps the grid and the zero point of `x`."""
        out = self.activation(name, shape, x.grid, x.zero_point if x.grid is not None else None, x.dtype)
        target = np.array([-1 if size is None else size for size in out.shape], np.int32)
        sizes = self.constant(f"{name}/shape", target)
        self.operator("RESHAPE", [x, sizes], [out], "ReshapeOptions", newShape=target)
        return out

    def cast(self, x: Ref, dtype: str, name: str) -> Ref:
        """Appends a CAST to another type; returns `x` itself where it has it."""
        if x.dtype == dtype:
            return x
        out = self.activation(name, x.shape, dtype=dtype)
        kinds = {"inDataType": x.dtype.upper(), "outDataType": dtype.upper()}
        self.operator("CAST", [x], [out], "CastOptions", **kinds)
        return out

    def quantized_output(
        self, name: str, shape, grid: Grid, activation: str, emit_op: Callable[[Ref], None]
    ) -> Ref:
        """Appends an operator such that its int8 output saturates exactly at the ends of `grid`.

        int8 saturates at -128 and 127 only. With 8 bits both ends of the grid lie there. A narrower
        grid gets its top on 127; its bottom is either the operator's own clamp at 0, or a second
        saturation: a QUANTIZE of the same scale that moves the bottom to -128.

        Args:
            name: Name of the output tensor.
            shape: Its dimensions.
            grid: Its grid.
            activation: What the operator itself clamps: `"relu"` or `"relu6"` when its results are
                never below 0 (fused, or known to be so), else `"linear"`.
            emit_op: Called once with the tensor that the operator is to write.

        Returns:
            The tensor for consumers to read.
        """
        default = default_zero_point(grid)
        top = INT8_MAX - int(grid.qmax)
        single = top == default or activation in ("relu", "relu6")
        out = self.activation(name if single else f"{name}/unclamped", shape, grid, top)
        emit_op(out)
        if single:
            return out
        clamped = self.activation(name, shape, grid, default)
        self.operator("QUANTIZE", [out], [clamped], "QuantizeOptions")
        return clamped

    def expect_grid(self, layer: str, ref: Ref, grid: Grid) -> None:
        """Notes that a tensor is to lie on a trained grid."""
        self.grids.append(ExpectedGrid(layer, ref.index, grid, ref.zero_point))

    def expect_weights(self, layer: str, ref: Ref, values, scale, input_scale: float) -> None:
        """Notes what training left of the weights of a layer, which a constant is to hold."""
        self.weights.append(ExpectedWeights(layer, ref.index, values, scale, input_scale))

    def program(
        self,
        inputs: Sequence[Ref],
        outputs: Sequence[Ref],
        input_names: Sequence[str] | None = None,
        output_names: Sequence[str] | None = None,
        description: str = "",
        metadata: dict | None = None,
    ) -> Program:
        """Returns the program.

        Args:
            inputs: Tensors that a caller sets, in call order.
            outputs: Tensors that a caller reads.
            input_names: Their names for callers; by default those of the tensors.
            output_names: Likewise.
            description: Free text shown by viewers of files.
            metadata: JSON-serializable facts.
        """
        return Program(
            tuple(self.refs),
            tuple(self.operations),
            tuple(ref.index for ref in inputs),
            tuple(ref.index for ref in outputs),
            tuple(input_names or [ref.name for ref in inputs]),
            tuple(output_names or [ref.name for ref in outputs]),
            description,
            metadata,
            tuple(self.weights),
            tuple(self.grids),
        )
