"""Renders the results as the page `docs/coverage.md`."""

import json

from benchmarks.results import markdown, write_atomically

HEAD = """# Which models are covered?

Every model of `keras.applications`. The table is generated:

```sh
KERAS_BACKEND=tensorflow python -m benchmarks.coverage.run
```

Each row is one constructor of the installed Keras, with random weights, random offsets, and BatchNorm
statistics of one batch of random images. At W8A8 (`bits=8`) and W4A4 (`bits=4, stream_bits=1`: every
tensor has 4 bits) it was quantized,
trained for one step, and written with `export_tflite(fallback="error")`, which allows no other writer than
kqat's own.

* *float* counts the kinds of layers without integer arithmetic; they are named below the table.
* *bytes* are those of the `.tflite` file, its weights `"packed"` at W4A4.
* *differ* says how many float32 outputs, and how many values of the quantized tensors inside, are not the
  same bits in the Keras model and in the file on LiteRT's default CPU path, of how many.
* *round trips*: the saved and loaded model computes the same; `strip_fake_quant` gives back the outputs of
  the model before; what it gives can be quantized again.
* *seconds* are those of processor time that `quantize` took at W8A8.

"""
COLUMNS = (
    *("model", "images", "parameters", "quantized", "float", "seconds", "bytes W8A8", "bytes W4A4"),
    *("differ W8A8", "differ W4A4", "round trips"),
)


def write_page(results, page) -> None:
    """Writes the page from the results that exist.

    Args:
        results: Folder with one JSON file a model.
        page: Path of the page.
    """
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("*.json"))}
    rows = [row(name, one) for name, one in found.items()]
    reasons = sorted({reason for one in found.values() for reason in one.get("float", [])})
    notes = "".join(f"* {reason}\n" for reason in reasons) or "* none\n"
    where = sorted({f"{one['machine']}; Keras on {one['backend']}." for one in found.values()})
    text = HEAD + "\n\n".join(where) + "\n\n" + markdown(COLUMNS, rows)
    write_atomically(page, f"{text}\n\n## Layers in float\n\n{notes}")


def row(name, one) -> list:
    """Returns the cells of one model; after an error the error."""
    if "error" in one:
        return [name, *["–"] * (len(COLUMNS) - 2), one["error"].replace("|", "/")[:200]]
    eight, four = one["W8A8"], one["W4A4"]
    failed = [
        f"{check} ({width})"
        for width in ("W8A8", "W4A4")
        for check, ok in one[width]["checks"].items()
        if not ok
    ]
    return [
        name, f"{one['size']} px", f"{one['parameters']:,}", one["quantized"], len(one["float"]),
        eight["seconds"] or "–", f"{eight['bytes']:,}", f"{four['bytes']:,}", differ(eight), differ(four),
        "exact" if not failed else "not exact: " + ", ".join(failed),
    ]  # fmt: skip


def differ(one) -> str:
    """Returns how many outputs and inner values differ, of how many."""
    return f"{one['unequal']} / {one['values']}, {one['inner unequal']:,} / {one['inner']:,}"
