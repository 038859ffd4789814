"""`kqat verify`: a model and a file, value by value."""

from pathlib import Path
from typing import Annotated

import typer

from kqat.cli import data as data_files
from kqat.cli import models, options
from kqat.cli.terminal import fail_unless_equal, say

File = Annotated[Path, typer.Argument(help="The .tflite file.", show_default=False)]
Data = Annotated[
    Path, typer.Option(help="To compare on: .npz, .npy, a folder of pictures.", show_default=False)
]
Layers = Annotated[bool, typer.Option(help="Also compare every tensor inside.")]


def verify(
    model: options.Model,
    file: File,
    data: Data,
    layers: Layers = False,
    samples: options.Samples = 100_000,
    rescale: options.Rescale = 1.0,
    offset: options.Offset = 0.0,
    code: options.Code = None,
    as_json: options.Json = False,
) -> None:
    """Compare a quantized model with its file on data, bit for bit. The status is 1 where they differ."""
    import kqat

    loaded = models.load(model, code)
    x, labels = data_files.load(data, loaded, samples, data_files.Pictures(rescale, offset))
    report = kqat.verify(loaded, file, x if labels is None else (x, labels), layers=layers)
    say(report, as_json, report.to_dict())
    fail_unless_equal(report)
