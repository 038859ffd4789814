"""The graph's inputs and outputs: float, or the integers themselves."""

from kqat.core.grid import INT8_MAX, Grid
from kqat.export.writing.arrays import to_numpy_grid
from kqat.layers.fake_quant import FakeQuant
from kqat.lowering.arithmetic.rescale import same_grid
from kqat.program.program import Ref
from kqat.program.writer import Writer, default_zero_point

TYPES = ("float32", "int8", "uint8")
_UNSIGNED = 128  # code of uint8 less that of int8


def common_grid(readers) -> tuple[Grid | None, str | None, str]:
    """Returns the grid that every reader of a graph input puts it on.

    Args:
        readers: The nodes that read it.

    Returns:
        The grid (NumPy) and the name of its quantizer, or twice `None`; and then the reason.
    """
    if not readers or not all(isinstance(node.op, FakeQuant) for node in readers):
        return None, None, "not all layers that read it are quantized"
    first, *others = [to_numpy_grid(node.op.quantizer.grid()) for node in readers]
    if not all(same_grid(first, other) for other in others):
        return None, None, "its readers have different grids"
    if first.storage_bits != 8:
        return None, None, "its grid has more than 256 levels"
    return first, readers[0].op.name, ""


def write_graph_input(
    writer: Writer, name: str, spec, grid: Grid | None, io: str, reader: str | None
) -> tuple[Ref, Ref]:
    """Adds a graph input.

    An integer input has 256 codes. A narrower grid has its top on the highest code; below its bottom
    the codes left over saturate in a QUANTIZE of the same scale that moves the bottom to -128.

    Args:
        writer: The file under construction.
        name: Name of the input.
        spec: Its symbolic tensor.
        grid: Grid of an integer input; `None` for one of the type of `spec`.
        io: `"int8"` or `"uint8"`, for an integer input.
        reader: Name of the tensor on the grid, where it is another one than the input.

    Returns:
        The input, and the tensor that layers are to read.
    """
    if grid is None:
        port = writer.input(name, spec.shape, str(spec.dtype))
        return port, port
    top, usual = INT8_MAX - int(grid.qmax), default_zero_point(grid)
    if io == "uint8":
        port = writer.activation(name, spec.shape, grid, top + _UNSIGNED, "uint8")
    else:
        port = writer.activation(name, spec.shape, grid, top)
        if top == usual:
            return port, port
    inside = writer.activation(reader, spec.shape, grid, usual)
    writer.operator("QUANTIZE", [port], [inside], "QuantizeOptions")
    return port, inside


def write_graph_output(writer: Writer, ref: Ref, io: str) -> tuple[Ref, list[str]]:
    """Returns the graph output for a tensor in the type `io`, and notes."""
    if ref.grid is None:
        return ref, [f"output '{ref.name}' stays {ref.dtype}: it has no grid"]
    if ref.grid.storage_bits != 8:
        return ref, [f"output '{ref.name}' stays {ref.dtype}: its grid has more than 256 levels"]
    if io == "int8":
        return ref, []
    out = writer.activation(f"{ref.name}/uint8", ref.shape, ref.grid, ref.zero_point + _UNSIGNED, "uint8")
    writer.operator("QUANTIZE", [ref], [out], "QuantizeOptions")
    return out, []
