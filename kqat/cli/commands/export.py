"""`kqat export`: a model as a file, as it is."""

from pathlib import Path
from typing import Annotated

import typer

from kqat.cli import models, options
from kqat.cli.terminal import say

Output = Annotated[
    Path, typer.Option("--output", "-o", help="The .tflite file to write.", show_default=False)
]
Weights = Annotated[
    str, typer.Option(help="exact: a byte each, runs anywhere. packed: as few bits as they have.")
]
Io = Annotated[str, typer.Option(help="Type of inputs and outputs: float32, int8 or uint8.")]
Target = Annotated[str, typer.Option(help="litert, or tflite-micro.")]


def export(
    model: options.Model,
    output: Output,
    weights: Weights = "exact",
    io: Io = "float32",
    target: Target = "litert",
    input_shape: options.Shape = None,
    code: options.Code = None,
    as_json: options.Json = False,
) -> None:
    """Write a model that was quantized and trained, or a float one, as a .tflite file."""
    import kqat

    done = kqat.export_tflite(
        models.load(model, code), output, io=io, weights=weights, target=target,
        input_shapes=options.to_shapes(input_shape),
    )  # fmt: skip
    say([done.report, f"Wrote {output}."], as_json, described(done, output))


def described(done, output: Path) -> dict:
    """Returns an export as plain data."""
    report = done.report
    return {
        "file": str(output),
        "bytes": report.bytes,
        "operators": report.operators,
        "notes": [*report.notes],
    }
