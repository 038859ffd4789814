"""What does evaluation in integer mode cost, compared with the float model, and what does export cost?"""

import argparse
import pathlib
import statistics
import time

import keras
import numpy as np

import kqat
from benchmarks.resnet import resnet20
from benchmarks.results import machine, markdown

WIDTHS = (8, 4, 2)


def main(argv=None):
    """Measures in interleaved rounds and prints both tables."""
    args = parse(argv)
    print(f"{machine()}; batches of {args.batch}, {args.images} images, {args.rounds} rounds")
    print(f"\n{evaluation(args)}\n\n{exports(args.rounds)}")


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, help="a .keras file; by default ResNet-20, untrained")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=11)
    return parser.parse_args(argv)


def evaluation(args):
    """Returns the table of `predict`: seconds of the first call, which compiles, and of the later ones."""
    model = resnet20(keras) if args.model is None else keras.saving.load_model(args.model)
    x = np.random.default_rng(0).normal(size=(args.images, *model.input_shape[1:])).astype(np.float32)
    models = {"float": model} | {f"W{b}A{b}": ready(model, b, x[:64]) for b in WIDTHS}
    first = {name: seconds(lambda m=m: predict(m, x, args)) for name, m in models.items()}
    rounds = []
    for number in range(args.rounds):
        order = list(models) if number % 2 else list(models)[::-1]
        rounds.append({name: seconds(lambda m=models[name]: predict(m, x, args)) for name in order})
    rows = []
    for name in models:
        ratios = [r[name] / r["float"] for r in rounds]
        low, _, high = statistics.quantiles(ratios, n=4)
        middle = statistics.median(r[name] for r in rounds)
        cells = [name, f"{first[name]:.1f}", f"{middle:.2f}", f"{statistics.median(ratios):.2f}"]
        rows.append([*cells, f"{low:.2f} to {high:.2f}"])
    return markdown(["model", "first call s", "s", "ratio to float", "middle half of rounds"], rows)


def exports(repeats):
    """Returns the table of `export_tflite` for ResNet50 of keras.applications."""
    model = keras.applications.ResNet50(weights=None)
    x = np.random.default_rng(0).normal(size=(2, 224, 224, 3)).astype(np.float32)
    rows = []
    for bits in (8, 4):
        q = ready(model, bits, x)
        times = sorted(seconds(lambda q=q: kqat.export_tflite(q)) for _ in range(repeats))
        rows.append(
            [f"W{bits}A{bits}", f"{statistics.median(times):.2f}", f"{times[0]:.2f} to {times[-1]:.2f}"]
        )
    return markdown(["ResNet50", "export s (median)", "range"], rows)


def ready(model, bits, x):
    """Returns the quantized model with its ranges set."""
    q = kqat.quantize(model, bits=bits, stream_bits=1)
    return kqat.calibrate(q, x, bias_correction=False, verbose=0)


def predict(model, x, args):
    """Runs the model over all images, as `evaluate` does."""
    return model.predict(x, batch_size=args.batch, verbose=0)


def seconds(work):
    """Returns how long `work()` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
