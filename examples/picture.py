"""Writes a picture of the demo's test set, and the names of its classes, for the C++ programs to look at."""

import argparse
import pathlib

import numpy as np

from examples import datasets

GRAY = 255
STEPS = {"digits": 16}  # whole steps between black and white; other sets have all of 8 bits


def main(argv=None):
    """Writes `DATA.pgm` (or `.ppm`) and `DATA.txt`, and prints what the picture shows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES, default="digits")
    parser.add_argument("--index", type=int, default=0, help="which picture of the test set")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("demo"))
    args = parser.parse_args(argv)
    _, (x, y) = datasets.load(args.data)
    steps = STEPS.get(args.data, GRAY)
    pixels = np.rint(x[args.index] * steps).astype(np.uint8)
    args.out.mkdir(parents=True, exist_ok=True)
    picture = args.out / f"{args.data}.{'ppm' if pixels.shape[-1] == 3 else 'pgm'}"
    picture.write_bytes(netpbm(pixels, steps))
    (args.out / f"{args.data}.txt").write_text(
        "\n".join(f"class {i}" for i in range(int(y.max()) + 1)) + "\n"
    )
    print(f"{picture} shows class {y[args.index]}; use --std {steps}")


def netpbm(pixels, steps):
    """Returns a picture `(height, width, 1 or 3)` of whole numbers up to `steps` as binary PGM or PPM."""
    height, width, channels = pixels.shape
    kind = "P6" if channels == 3 else "P5"
    return f"{kind}\n{width} {height}\n{steps}\n".encode() + pixels.tobytes()


if __name__ == "__main__":
    main()
