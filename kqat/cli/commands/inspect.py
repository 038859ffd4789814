"""`kqat inspect`: what is in a .tflite file, whoever wrote it."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from kqat.cli import options
from kqat.cli.terminal import say
from kqat.core.table import TextTable

File = Annotated[Path, typer.Argument(help="Any .tflite file.", show_default=False)]


def inspect(file: File, as_json: options.Json = False) -> None:
    """Show the operators of a file, the types and bytes of its weights, its grids, and what XNNPACK takes."""
    from kqat.formats.tflite.opened import Opened
    from kqat.runtime import load

    content = file.read_bytes()
    runtime = load(content)
    found = described(Opened(content), runtime)
    say(_table(file, found), as_json, {"file": str(file), "bytes": len(content), **found})


def described(opened, runtime) -> dict[str, Any]:
    """Returns the ends of a file, its operators and its constants as plain data."""
    kinds: Counter = Counter(operator.builtin for operator in opened.operators)
    left = getattr(getattr(runtime, "delegation", None), "left", {})
    sizes: Counter = Counter()
    for tensor in opened.tensors:
        sizes[tensor.type] += len(tensor.data)
    return {
        "inputs": [_port(port) for port in runtime.inputs],
        "outputs": [_port(port) for port in runtime.outputs],
        "operators": dict(kinds.most_common()),
        "not delegated": dict(left),
        "constants": {kind: size for kind, size in sizes.most_common() if size},
        "activations": dict(Counter(t.type for t in opened.tensors if not len(t.data)).most_common()),
    }


def _port(port) -> dict[str, Any]:
    return {
        "name": port.name, "shape": [*port.shape], "dtype": port.dtype,
        "scale": port.scale, "zero_point": port.zero_point,
    }  # fmt: skip


def _table(file: Path, found: dict[str, Any]) -> TextTable:
    left = found["not delegated"]
    rows = [[kind, str(count), str(left.get(kind, 0))] for kind, count in found["operators"].items()]
    constants = ", ".join(f"{size:,} bytes of {kind}" for kind, size in found["constants"].items())
    footer = [f"{side}: {_line(port)}" for side in ("inputs", "outputs") for port in found[side]]
    tensors = ", ".join(f"{count} of {kind}" for kind, count in found["activations"].items())
    footer += [f"constants: {constants or 'none'}", f"tensors: {tensors}"]
    title = f"{file.name}, {file.stat().st_size:,} bytes"
    return TextTable(("operator", "count", "not on XNNPACK"), rows, title, frozenset(("count",)), footer)


def _line(port: dict[str, Any]) -> str:
    shape = ", ".join("any" if size is None else str(size) for size in port["shape"])
    grid = f", scale {port['scale']:.6g}, zero point {port['zero_point']}" if port["scale"] else ""
    return f"{port['name']} ({shape}) {port['dtype']}{grid}"
