"""Renders the results as the page `docs/operations.md`."""

from collections import Counter

from benchmarks.operations import layers, operations
from benchmarks.results import markdown

HEAD = """# Which operations are covered?

Every activation of `keras.activations`, every layer of `keras.layers` and every function of `keras.ops` that
the installed Keras exports. The table is generated:

```sh
KERAS_BACKEND=torch python -m benchmarks.operations.run
```

Each row is a small model: a `Dense` layer in front of the operation, so that it reads a tensor on a grid, and
one behind it. It was quantized at W8A8 (`bits=8`) and W4A4 (`bits=4, stream_bits=1`: every tensor has 4
bits), calibrated, written with `export_tflite(fallback="error")`, and compared with its file on LiteRT's
default CPU path, on other data, some of it outside of the calibrated ranges.

* **exact**: integer operators; whole numbers and truth values, in their own types, count among them.
* **float kernel**: float operators between integer tensors, written by kqat. Keras computes the same bits.
* **float**: float operators, written by kqat.
* **converter**: no rule. It stays in float, with the reason; what surrounds it is quantized, and
  TensorFlow's converter writes it into the file where it can.
* **refused**: an error of kqat says why.
* **no model**: Keras itself cannot build or run the row on this backend.
* *differ*: how many outputs, and how many values of the quantized tensors inside, are not the same bits in
  the Keras model and in the file, of how many, at both widths together.

"""
COLUMNS = ("operation", "status", "differ", "reason")
_TITLES = {"activations": "Activations", "layers": "Layers", "ops": "Operations"}


def render(found: dict, machine: str) -> str:
    """Returns the page.

    Args:
        found: What `measure` returned, by row.
        machine: One line on the processor and the versions.
    """
    counts = Counter(one["status"] for one in found.values())
    summary = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    text = f"{HEAD}{machine}; Keras on PyTorch.\n\n{len(found)} rows: {summary}.\n"
    for prefix, title in _TITLES.items():
        rows = [_cells(name, one) for name, one in found.items() if name.startswith(f"{prefix}.")]
        text += f"\n## {title}\n\n{markdown(COLUMNS, sorted(rows, key=lambda row: row[0].lower()))}\n"
    return text + "\n## Not in models\n\n" + _left_out()


def _cells(name: str, one: dict) -> list[str]:
    widths = [one[width] for width in ("W8A8", "W4A4") if width in one]
    differ = "–"
    if widths:
        sums = {key: sum(width[key] for width in widths) for key in widths[0]}
        differ = f"{sums['unequal']} / {sums['values']}, {sums['inner unequal']} / {sums['inner']:,}"
    reason = one["reason"].replace("|", "/").replace("<", "&lt;").replace("\x1b", "")
    return [_names(name), one["status"], differ, reason[:200]]


def _names(name: str) -> str:
    """Returns the names of a row; a layer may have several."""
    prefix, rest = name.split(".", 1)
    first, *details = rest.split(", ", 1)
    names = layers.exported().get(first, [first]) if prefix == "layers" else [first]
    said = ", ".join(f"`{one}`" for one in sorted(names, key=lambda one: (one != first, one)))
    return f"{said} ({details[0]})" if details else said


def _left_out() -> str:
    """Returns what has no row, by reason."""
    reasons: dict[str, list[str]] = {}
    for prefix, names in (("layers", layers.NOT_IN_MODELS), ("ops", operations.NOT_IN_MODELS)):
        for name, reason in names.items():
            reasons.setdefault(reason, []).append(f"`{prefix}.{name}`")
    return "".join(f"* {', '.join(names)}: {reason}\n" for reason, names in reasons.items())
