"""What becomes of each activation, layer and operation of Keras, and is it exact?"""

import argparse
import json
import pathlib
import warnings

from benchmarks.operations import page
from benchmarks.operations.measure import ROWS, measure
from benchmarks.results import machine, write_atomically

RESULTS = pathlib.Path(__file__).parent / "results.json"
PAGE = pathlib.Path("docs/operations.md")


def main(argv=None):
    """Measures rows one after the other, and writes results and page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="rows to measure again, or parts of names")
    parser.add_argument("--resume", action="store_true", help="leave out rows that have a result")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    found = json.loads(args.results.read_text())["rows"] if args.results.exists() else {}
    for name in ROWS:
        wanted = not args.rows or any(part in name for part in args.rows)
        if wanted and not (args.resume and name in found):
            found[name] = measure(name)
            print(name, json.dumps(found[name]), flush=True)
            _save(args.results, found)
    _save(args.results, found)
    write_atomically(args.page, page.render(found, json.loads(args.results.read_text())["machine"]))


def _save(path, found) -> None:
    rows = {name: found[name] for name in ROWS if name in found}
    write_atomically(path, json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
