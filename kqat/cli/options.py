"""Options that several commands take, and the texts that become their values."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="A model: .keras or .h5.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Code = Annotated[
    list[str] | None,
    typer.Option("--import", help="A Python file or module to run first: it registers custom layers."),
]
Bits = Annotated[str, typer.Option(help="Width: 4, or 4,8 for weights and activations.")]
Include = Annotated[list[str] | None, typer.Option(help="Quantize only these layers. May be repeated.")]
Exclude = Annotated[list[str] | None, typer.Option(help="Leave these layers in float. May be repeated.")]
Recipe = Annotated[Path | None, typer.Option(help="A plan or rules, JSON, in place of --bits.")]
Shape = Annotated[
    list[str] | None,
    typer.Option(
        "--input-shape",
        help="Size of an input without the batch, 224,224,3 or name=224,224,3. May be repeated.",
    ),
]
Samples = Annotated[int, typer.Option(min=1, help="How many samples of the data to take.")]
Rescale = Annotated[float, typer.Option(help="Multiply pictures by this: 0.00392156862745098 is 1/255.")]
Offset = Annotated[float, typer.Option(help="Then add this: -1 together with a rescale of 2/255.")]


def to_bits(text: str) -> int | tuple[int, ...]:
    """Returns the widths that a text names."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 2):
        raise ValueError(f"--bits is one width or two. Received: {text!r}. Use --bits 4 or --bits 4,8.")
    return numbers[0] if len(numbers) == 1 else numbers


def to_shapes(texts: list[str] | None):
    """Returns shapes as `input_shapes` takes them: by name, or in order; `None` for none."""
    if not texts:
        return None
    found = [_shape(text) for text in texts]
    named = {name: shape for name, shape in found if name}
    if named and len(named) < len(found):
        raise ValueError("Some inputs are named and some not. Received: both forms. Use one for all inputs.")
    return named or [shape for _, shape in found]


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    try:
        return name, tuple(int(size) for size in sizes.split(","))
    except ValueError as error:
        raise ValueError(
            f"--input-shape is a list of numbers. Received: {text!r}. Use 224,224,3 or image=224,224,3."
        ) from error


def settings(bits: str, include, exclude, recipe: Path | None, shape) -> dict:
    """Returns the arguments of `kqat.quantize` and `kqat.plan`."""
    return {
        "bits": to_bits(bits),
        "include": include or None,
        "exclude": exclude or None,
        "recipe": None if recipe is None else str(recipe),
        "input_shapes": to_shapes(shape),
    }
