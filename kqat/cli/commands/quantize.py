"""`kqat quantize`: from a float model and data to a file that is compared with the model."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kqat.cli import data as data_files
from kqat.cli import models, options
from kqat.cli.commands.export import Io, Output, Target, Weights, described
from kqat.cli.terminal import fail_unless_equal, say

Data = Annotated[
    Path | None, typer.Option(help="To calibrate and compare on: .npz, .npy, a folder of pictures.")
]
Effort = Annotated[str, typer.Option(help="For weights below 8 bits: fast, balanced or thorough.")]
Save = Annotated[Path | None, typer.Option(help="Also write the quantized model, .keras, to train it.")]
Dynamic = Annotated[bool, typer.Option(help="Integer weights alone, activations in float: needs no data.")]


def quantize(
    model: options.Model,
    output: Output,
    data: Data = None,
    bits: options.Bits = "8",
    include: options.Include = None,
    exclude: options.Exclude = None,
    recipe: options.Recipe = None,
    effort: Effort = "fast",
    weights: Weights = "exact",
    io: Io = "float32",
    target: Target = "litert",
    dynamic: Dynamic = False,
    save: Save = None,
    samples: options.Samples = 512,
    rescale: options.Rescale = 1.0,
    offset: options.Offset = 0.0,
    input_shape: options.Shape = None,
    code: options.Code = None,
    as_json: options.Json = False,
) -> None:
    """Quantize a model without training, write it, and compare the file with the model on the data."""
    import kqat

    loaded = models.load(model, code)
    if dynamic:
        if data or include or exclude or recipe or save or input_shape or options.to_bits(bits) != 8:
            raise ValueError(
                "--dynamic quantizes the weights of all layers to 8 bits. Received: data, layers, widths or "
                "--save with it. Use --output alone, or leave out --dynamic."
            )
        done = kqat.export_dynamic(loaded, output)
        say([done.report, f"Wrote {output}."], as_json, described(done, output))
        return
    if data is None:
        raise ValueError(
            "Quantizing needs to see what goes through the model. Received: no data. "
            "Use --data with an .npz file or a folder of pictures, or --dynamic."
        )
    q = kqat.quantize(loaded, **options.settings(bits, include, exclude, recipe, input_shape))
    x, labels = data_files.load(data, q, samples, data_files.Pictures(rescale, offset))
    kqat.calibrate(q, x, effort=effort, verbose=0 if as_json else "auto")
    if save is not None:
        q.save(save)
    done = kqat.export_tflite(q, output, io=io, weights=weights, target=target)
    report = kqat.verify(q, done, x if labels is None else (x, labels), reference=_float(loaded, input_shape))
    say(
        [done.report, report, f"Wrote {output}."],
        as_json,
        {**described(done, output), "verify": report.to_dict()},
    )
    fail_unless_equal(report)


def _float(loaded, input_shape) -> Any:
    """Returns what to compare with; of a model of free sizes that would be another network."""
    return None if input_shape else loaded
