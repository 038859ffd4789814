"""`kqat plan`: what quantization does to each layer, and why."""

import json

from kqat.cli import models, options
from kqat.cli.terminal import say


def plan(
    model: options.Model,
    bits: options.Bits = "8",
    include: options.Include = None,
    exclude: options.Exclude = None,
    recipe: options.Recipe = None,
    input_shape: options.Shape = None,
    code: options.Code = None,
    as_json: options.Json = False,
) -> None:
    """Show what would happen to each layer, and why. The JSON is a recipe for `kqat quantize`."""
    import kqat

    chosen = kqat.plan(
        models.load(model, code), **options.settings(bits, include, exclude, recipe, input_shape)
    )
    say(chosen, as_json, json.loads(chosen.to_json()))
