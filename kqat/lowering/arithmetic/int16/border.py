"""The borders of int16 tensors: to and from int8, and what the grid of such a tensor may be.

Forward: none; a tensor changes its type and keeps its scale, which moves every level as it is, and clips it.
"""

import numpy as np

from kqat.core.grid import Grid

INT16_MIN, INT16_MAX = -(2.0**15), 2.0**15 - 1
_SUM_LIMIT, _PRODUCT_LIMIT = 2.0**47, 2.0**31


def full_grid(scale) -> Grid:
    """Returns the grid of all levels of an int16 tensor."""
    return Grid(scale, np.float32(INT16_MIN), np.float32(INT16_MAX))


def is_wide(step) -> bool:
    """Tells whether a step (NumPy) needs the kernels between int16 tensors: one of its grids does."""
    return any(grid is not None and grid.storage_bits == 16 for grid in (*step.inputs, step.output))


def require_full(grid: Grid, name: str) -> None:
    """Raises where a grid does not end where an int16 tensor saturates.

    Args:
        grid: A grid of more than 256 levels (NumPy).
        name: Name of the tensor, for the message.
    """
    if (grid.qmin, grid.qmax) != (INT16_MIN, INT16_MAX):
        raise ValueError(
            f"The ends of the grid of {name!r} are not those of int16, where the runtime saturates. "
            f"Received: levels {int(grid.qmin)} to {int(grid.qmax)}. "
            "Use 8 bits or less, or 16 with a symmetric range."
        )


def require_sums(step, values, axis: int, bias) -> None:
    """Raises where the sums of a weighted step can leave the integers that the runtime computes with.

    Args:
        step: The step (NumPy).
        values: Integer weights in the file's layout.
        axis: Their output channels' axis.
        bias: Whole numbers per channel.
    """
    source, others = step.inputs[0], tuple(i for i in range(np.ndim(values)) if i != axis)
    largest = np.abs(np.asarray(values, np.float64)).sum(axis=others) * max(-source.qmin, source.qmax)
    largest = largest + np.abs(bias)
    factors = np.float64(source.scale) * np.float64(step.weights.scale) / np.float64(step.output.scale)
    if largest.max() >= _SUM_LIMIT or (largest * factors).max() >= _PRODUCT_LIMIT:
        raise ValueError(
            f"The sums of {step.op.name!r} can leave the integers of the int16 kernels. Received: sums up to "
            f"{largest.max():.3g}, {(largest * factors).max():.3g} output levels. Use a wider output range, "
            "from calibration on data like those in use."
        )


def require_ratio(ratio, low: float, high: float, name: str) -> None:
    """Raises where the runtime's fixed-point factors would leave their range.

    Args:
        ratio: The factors, or ratios of scales, of an operation.
        low: The lowest that works.
        high: The first that does not.
        name: Name of the tensor, for the message.
    """
    if not np.all((low <= np.asarray(ratio)) & (np.asarray(ratio) < high)):
        raise ValueError(
            f"The scales around {name!r} are too far apart for the int16 kernel. Received: a ratio of "
            f"{np.asarray(ratio).tolist()}. Use ranges with a ratio of at least {low:g} and below {high:g}."
        )


def widen(writer, x, name: str):
    """Returns `x` in an int16 tensor of the same scale."""
    if x.dtype == "int16":
        return x
    out = writer.activation(f"{name}/int16", x.shape, full_grid(x.grid.scale))
    writer.operator("QUANTIZE", [x], [out], "QuantizeOptions")
    return out


def write_wide(writer, name: str, shape, grid: Grid, activation: str, emit_op):
    """Appends an operator with an int16 output; a grid of at most 256 levels moves to int8 behind it.

    Args:
        writer: The file under construction.
        name: Name of the output.
        shape: Its dimensions.
        grid: Its grid.
        activation: What the operator itself clamps: `"relu"`, `"relu6"` or `"linear"`.
        emit_op: Called once with the int16 tensor that the operator is to write.

    Returns:
        The tensor for consumers to read.
    """
    if grid.storage_bits == 16:
        require_full(grid, name)
        out = writer.activation(name, shape, grid)
        emit_op(out)
        return out
    wide = writer.activation(f"{name}/int16", shape, full_grid(grid.scale))
    emit_op(wide)
    return writer.quantized_output(
        name, shape, grid, activation,
        lambda out: writer.operator("QUANTIZE", [wide], [out], "QuantizeOptions"),
    )  # fmt: skip
