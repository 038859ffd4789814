"""Which models of the kinds that code examples show go through kqat, and is every one of them exact?"""

import argparse
import pathlib

import keras

from benchmarks.published.apart import apart
from benchmarks.published.measure import WIDTHS, measured
from benchmarks.published.models import KINDS, MODELS
from benchmarks.published.page import page
from benchmarks.results import Results, write_atomically

FOLDER = pathlib.Path(__file__).parent / "results"
PAGE = pathlib.Path("docs/published.md")


def main(argv=None):
    """Measures models one after the other, each in a process of its own, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=WIDTHS)
    parser.add_argument("--results", type=pathlib.Path, default=FOLDER, help="a folder, one file a backend")
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    parser.add_argument("--limit", type=float, default=600, help="seconds that one model may take")
    args = parser.parse_args(argv)
    backend = keras.backend.backend()
    results = Results(args.results / f"{backend}.json", {"backend": backend})
    for name in args.names:
        for width in args.widths:
            found = results.stage(f"{name}, {width}", lambda n=name, w=width: alone(n, w, args.limit))
            print(name, width, found.get("error") or brief(found), flush=True)
    write_atomically(args.page, page(args.results, KINDS))


def brief(found) -> str:
    """Returns the differences of one width, and what stayed in float."""
    return f"{found['unequal']}+{found['inner unequal']} {found['float']}"


def alone(name: str, width: str, limit: float) -> dict:
    """Returns what a process of its own found about one model at one width."""
    found = apart(measured, name, width, limit=limit)
    return {"error": found} if isinstance(found, str) else found


if __name__ == "__main__":
    main()
