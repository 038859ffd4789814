"""Writes the page from what was found on every backend."""

import json
from pathlib import Path

from benchmarks.results import markdown

BACKENDS = {"torch": "PyTorch", "tensorflow": "TensorFlow"}
WIDTHS = ("W8A8", "W4A4")
HEAD = """# Which published kinds of models are covered?

The page is generated:

```sh
KERAS_BACKEND=torch python -m benchmarks.published.run
KERAS_BACKEND=tensorflow python -m benchmarks.published.run
```

Each row is a small model of a kind that code examples for Keras show, written from its paper, as people
write such models: with custom layers that nobody registered, subclassed models, layers inside layers,
lambdas, sizes read in `call` and preprocessing in the model (`benchmarks/published`).
It was quantized at W8A8 and W4A4, calibrated on random data, trained for one step, saved and loaded,
exported, and compared with its file value by value.

* *integer* counts the layers with integer arithmetic at W8A8, *float* the kinds of layers that compute with
  real numbers and stay in float; they are named below. Whole numbers, such as ids, are not counted.
* *differ* says how many float32 outputs, and how many values of the quantized tensors inside, are not the
  same bits in the Keras model and in the file on LiteRT's default CPU path, of how many.
* *seconds* are those of all steps at W8A8, on a shared processor.

"""
_WHOLE = (": whole numbers", "ids of an embedding")


def page(folder: Path, kinds) -> str:
    """Returns the page.

    Args:
        folder: With a results file for each backend that was measured.
        kinds: Models by name, by kind.
    """
    sections = [HEAD, summary(folder, kinds)]
    for backend, title in BACKENDS.items():
        if (found := stages(folder, backend)) is not None:
            sections.append(section(title, found["stages"], found["machine"], kinds))
    return "\n".join(sections)


def stages(folder: Path, backend: str):
    """Returns the results file of a backend, `None` if there is none."""
    path = folder / f"{backend}.json"
    return json.loads(path.read_text()) if path.exists() else None


def summary(folder: Path, kinds) -> str:
    """Returns the table of counts."""
    rows = []
    for backend, title in BACKENDS.items():
        if (file := stages(folder, backend)) is not None:
            for width in WIDTHS:
                found = [f for n in names(kinds) if (f := file["stages"].get(f"{n}, {width}"))]
                rows.append([title, width, *counts(found)])
    return markdown(("backend", "width", "measured", "exact", "differ", "refused"), rows) + "\n"


def counts(found) -> list[int]:
    """Returns how many models were measured, equal their files, differ from them, and ended with an error."""
    refused = sum("error" in one for one in found)
    different = sum(bool(one["unequal"] + one["inner unequal"]) for one in found if "error" not in one)
    return [len(found), len(found) - refused - different, different, refused]


def names(kinds) -> list[str]:
    """Returns the names of all models, in the order of the page."""
    return [name for models in kinds.values() for name in models]


def section(title: str, found, machine: str, kinds) -> str:
    """Returns the tables of one backend and what they leave out."""
    text = f"## Keras on {title}\n\n{machine}.\n\n"
    for kind, models in kinds.items():
        rows = [cells(name, *(found.get(f"{name}, {w}") for w in WIDTHS)) for name in models]
        text += f"### {kind}, {title}\n\n{markdown(columns(), [row for row in rows if row])}\n\n"
    return text + f"### In float, {title}\n\n{floats(found)}\n### Refused, {title}\n\n{errors(found)}"


def columns() -> tuple[str, ...]:
    """Returns the head of a table."""
    both = [f"{what} {width}" for what in ("bytes", "differ") for width in WIDTHS]
    return ("model", "integer", "float", "seconds", *both)


def cells(name: str, *found) -> list | None:
    """Returns the row of a model, `None` where nothing was measured."""
    whole = [one if one and "error" not in one else None for one in found]
    if not any(found):
        return None
    if not whole[0]:
        return [name, *["–"] * 3, *map(size, whole), *map(state, found)]
    first = whole[0]
    return [
        name,
        first["quantized"],
        len(real(first)),
        first["seconds"],
        *map(size, whole),
        *map(state, found),
    ]


def size(found) -> str:
    """Returns the bytes of a file."""
    return f"{found['bytes']:,}" if found else "–"


def state(found) -> str:
    """Returns how many values differ, of how many."""
    if not found:
        return "not measured"
    if "error" in found:
        return "refused"
    return f"{found['unequal']} / {found['values']:,}, {found['inner unequal']} / {found['inner']:,}"


def real(found) -> list[str]:
    """Returns the layers that are left in float though they compute with real numbers."""
    return [reason for reason in found["float"] if not reason.endswith(_WHOLE)]


def floats(found) -> str:
    """Returns a list of the layers in float, with their reasons and the models that have them."""
    users: dict[str, list[str]] = {}
    for stage, one in found.items():
        for reason in real(one) if "error" not in one else ():
            name = stage.rpartition(", ")[0]
            if name not in users.setdefault(reason, []):
                users[reason].append(name)
    return "".join(f"* {reason} ({', '.join(who)})\n" for reason, who in sorted(users.items())) or "* none\n"


def errors(found) -> str:
    """Returns a list of the models that ended with an error."""
    texts = {s.rpartition(", ")[0]: one["error"] for s, one in found.items() if "error" in one}
    return "".join(f"* {name}: `{plain(error)}`\n" for name, error in texts.items()) or "* none\n"


def plain(error: str) -> str:
    """Returns a short error without the marks that terminals understand."""
    text = error.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("`", "'").replace("|", "/")
    return text[:330]
