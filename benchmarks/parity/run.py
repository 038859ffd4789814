"""Does any value differ between Keras and the file, for any operation at any bit width?"""

import argparse
import pathlib

import keras

from benchmarks.parity.measure import compare, float_operators
from benchmarks.parity.zoo import OPERATIONS, WIDTHS, model_of
from benchmarks.results import Results, markdown, write_atomically

HEAD = """# Which operations are exact?

Those with 0 in every column. The table is generated:

```sh
KERAS_BACKEND={backend} python -m benchmarks.parity.run
```

Each row is a small model with the operation between quantized layers, once on a signed and once on a
nonnegative tensor. BatchNorms have negative gammas and one of 0, some channels are dead, and every fourth
input lies far outside of the range that calibration saw. The model is quantized with `stream_bits=1`, so that
the operation itself has few bits, calibrated and exported; then the outputs of the Keras model and of the
`.tflite` file on LiteRT's default CPU path are compared, bit by bit.

*Values* is what was compared at each width, and the columns behind it say how many of them differ.
*Operators* are what the files are made of between the float input and the float output, all of them on
integers; *not accelerated* are those that XNNPACK leaves to LiteRT's own kernels, with the same results.

{machine}; Keras on {backend}.

"""
TAIL = """

## What is not exact

* Layers in float, such as excluded ones: sums in another order differ in the last bits. Where such a value
  lies on the border between two levels of the next grid, what follows differs by a step.
* Other delegates, and LiteRT without XNNPACK: their kernels round in other ways.
* The second factor of a product of two activations is rounded once more, in Keras as in the file: XNNPACK
  wants zero point 0, so an 8-bit grid that is not symmetric is first put on 127 steps to either side.
"""
_EVERYWHERE = ("DEQUANTIZE",)


def main(argv=None):
    """Measures what is not in the results file yet and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/parity"))
    parser.add_argument("--page", type=pathlib.Path, default=pathlib.Path("docs/parity.md"))
    parser.add_argument("--operations", nargs="+", choices=OPERATIONS, default=list(OPERATIONS))
    parser.add_argument("--samples", type=int, default=32)
    args = parser.parse_args(argv)
    backend = keras.backend.backend()
    results = Results(args.out / f"{backend}.json", {"samples": args.samples, "backend": backend})
    for name in args.operations:
        for width in WIDTHS:
            results.stage(f"{name} | {width}", lambda n=name, w=width: measure(n, w, args.samples))
        print(name, [results[f"{name} | {width}"]["mismatches"] for width in WIDTHS], flush=True)
    head = HEAD.format(backend=backend, machine=results.data["machine"])
    write_atomically(args.page, head + table(results, args.operations) + TAIL)


def measure(name, width, count):
    """Returns what was compared, what differed, and what the file is made of."""
    outcome = compare(model_of(OPERATIONS[name]), WIDTHS[width], count)
    inside = dict(float_operators(outcome.export.content))
    return {
        "values": outcome.values,
        "mismatches": outcome.mismatches,
        "max_lsb": outcome.report.max_lsb,
        "operators": dict(outcome.export.report.operators),
        "float": inside,
        "left": dict(outcome.report.not_delegated or {}),
    }


def table(results, names):
    """Returns the table, one row an operation."""
    rows = []
    for name in names:
        found = [results[f"{name} | {width}"] for width in WIDTHS]
        values = {one["values"] for one in found}
        rows.append(
            [
                name,
                "–".join(f"{value:,}" for value in sorted(values)),
                *(_count(one) for one in found),
                ", ".join(_operators(found)),
                ", ".join(sorted({kind for one in found for kind in one["left"]})) or "–",
            ]
        )
    return markdown(["operation", "values", *WIDTHS, "operators", "not accelerated"], rows)


def _count(one):
    """Returns the number of differences, the largest one where there are any, and operators in float."""
    text = f"{one['mismatches']:,}"
    if one["mismatches"]:
        text += f" (by {one['max_lsb']} LSB)"
    return text + (f", float: {', '.join(one['float'])}" if one["float"] else "")


def _operators(found):
    """Returns the operators of a row; what every file begins and ends with is left out."""
    return sorted({kind for one in found for kind in one["operators"]} - set(_EVERYWHERE))


if __name__ == "__main__":
    main()
