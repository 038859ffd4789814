"""Which backbones of KerasHub go through kqat, and is every one of them exact?"""

import argparse
import pathlib
import warnings

from benchmarks.backbones.measure import NAMES, WIDTHS, measure
from benchmarks.results import Results, markdown, write_atomically

RESULTS = pathlib.Path(__file__).parent / "results.json"
PAGE = pathlib.Path("docs/backbones.md")
HEAD = """# Which backbones of KerasHub are covered?

The table is generated:

```sh
KERAS_BACKEND=torch python -m benchmarks.backbones.run
```

Each row is a backbone that `keras_hub.models` exports, with two layers or stages and random weights
(`benchmarks/backbones`). It was quantized for a fixed length or image size (`input_shapes=`) at W8A8 and
W4A8, trained for one step, saved and loaded, and written with `export_tflite(fallback="error")`, which allows
no other writer than kqat's own.

* *float* counts the kinds of layers without integer arithmetic; they are named below the table. Whole
  numbers, such as ids and masks, are not counted.
* *differ* says how many float32 outputs, and how many values of the quantized tensors inside, are not the
  same bits in the Keras model and in the file on LiteRT's default CPU path, of how many.
* *seconds* are those of processor time that `quantize` took at W8A8.

"""
COLUMNS = (
    "backbone",
    "quantized",
    "float",
    "seconds",
    "bytes W8A8",
    "bytes W4A8",
    "differ W8A8",
    "differ W4A8",
)


def main(argv=None):
    """Measures backbones one after the other and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    args = parser.parse_args(argv)
    results = Results(args.results, {})
    warnings.simplefilter("ignore")
    for name in args.names:
        for width in WIDTHS:
            found = results.stage(f"{name}, {width}", lambda n=name, w=width: measured(n, w))
            print(name, width, found.get("error") or differ(found), flush=True)
    write_atomically(args.page, page(results))


def measured(name: str, width: str) -> dict:
    """Returns what `measure` does, or the error that ended it."""
    try:
        return measure(name, width)
    except Exception as error:  # whatever a backbone meets is a result
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}


def page(results) -> str:
    """Returns the page of the backbones that have results."""
    done = [name for name in NAMES if all(f"{name}, {width}" in results for width in WIDTHS)]
    rows = [
        (name, *(results[f"{name}, {width}"] for width in WIDTHS)) for name in sorted(done, key=str.lower)
    ]
    whole = [row for row in rows if not any("error" in found for found in row[1:])]
    table = markdown(COLUMNS, [cells(*row) for row in whole])
    reasons = sorted({reason for _, *found in whole for one in found for reason in real(one)})
    failed = [
        (name, next(f["error"] for f in found if "error" in f))
        for name, *found in rows
        if any("error" in f for f in found)
    ]
    notes = "".join(f"* {reason}\n" for reason in reasons) or "* none\n"
    left = "".join(f"* {name}: {error[:300]}\n" for name, error in failed) or "* none\n"
    where = f"{results.data['machine']}; Keras on PyTorch."
    return f"{HEAD}{where}\n\n{table}\n\n## Layers in float\n\n{notes}\n## Not covered\n\n{left}"


def real(found) -> list[str]:
    """Returns the layers that are left in float though they compute with real numbers."""
    return [
        reason for reason in found["float"] if not reason.endswith((": whole numbers", "ids of an embedding"))
    ]


def cells(name, eight, four) -> list:
    """Returns the cells of one backbone."""
    sizes = [f"{found['bytes']:,}" for found in (eight, four)]
    return [
        name, eight["quantized"], len(real(eight)), eight["seconds"], *sizes, differ(eight), differ(four),
    ]  # fmt: skip


def differ(found) -> str:
    """Returns how many outputs and inner values differ, of how many."""
    return f"{found['unequal']} / {found['values']:,}, {found['inner unequal']} / {found['inner']:,}"


if __name__ == "__main__":
    main()
