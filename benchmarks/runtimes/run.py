"""Do other runtimes give the same outputs, and where not, how far are they off?"""

import argparse
import pathlib

import numpy as np

from benchmarks.results import machine, markdown, write_atomically
from benchmarks.runtimes.loaders import DEFAULT, OTHERS
from benchmarks.runtimes.nets import NETS, files

_START, _END = "<!-- measured -->\n", "<!-- end -->\n"


def main(argv=None):
    """Runs every file on every runtime and prints the table, or puts it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--page", type=pathlib.Path, help="Markdown page whose table to replace")
    args = parser.parse_args(argv)
    rows = [measure(*file) for file in files(count=args.samples)]
    text = markdown(["file", *DEFAULT, *OTHERS], rows)
    text = f"{text}\n\n{machine()}; {args.samples} images, {len(NETS)} files.\n"
    print(text)
    if args.page:
        before, rest = args.page.read_text().split(_START)
        write_atomically(args.page, f"{before}{_START}\n{text}\n{_END}{rest.split(_END)[1]}")


def measure(name, content, x):
    """Returns a row: the name of a file, and what each runtime differs by from the first one."""
    first, *others = [run(content, x) for run in {**DEFAULT, **OTHERS}.values()]
    step = _step(content)
    return [name, "–", *(difference(first, other, step) for other in others)]


def difference(expected, found, step):
    """Returns the share of outputs that differ, and by how many steps at most, as text."""
    distance = np.abs(expected.astype(np.float64) - found.astype(np.float64))
    if not np.any(distance):
        return "equal"
    share = np.mean(distance > 0)
    if step is None:
        return f"{share:.1%}, at most {distance.max():.2g}"
    return f"{share:.1%}, at most {np.rint(distance.max() / step):.0f} LSB"


def _step(content):
    """Returns what one level of the output is apart from the next, `None` for a float output."""
    from kqat.export.comparing.layers import output_scales
    from kqat_runtime.running.runtime import Runtime

    with Runtime(content) as runtime:
        (port,) = runtime.outputs
    (scale,) = output_scales(content)
    return 1.0 if port.dtype == "int8" else scale


if __name__ == "__main__":
    main()
