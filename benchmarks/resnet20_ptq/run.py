"""What does a trained ResNet-20 keep on CIFAR-10 when it is calibrated only?"""

import argparse
import pathlib
import time

import keras
import numpy as np

import kqat
from benchmarks.results import Results, markdown
from examples import datasets
from examples.runtime import Runner, top1

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def main(argv=None):
    """Measures once and prints the table."""
    args = parse(argv)
    settings = {"model": args.model.name, "images": args.images, "bits": args.bits, "observer": args.observer}
    name = f"{args.model.stem}_w{args.bits}_{args.observer}"
    results = Results(args.out / f"{name}.json", settings)
    measured = results.stage("ptq", lambda: measure(args, args.out / f"{name}.tflite"))
    print(report(measured, results.data["machine"]))
    return measured


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="a .keras file; outputs logits")
    parser.add_argument("--images", type=int, default=1000, help="training images to calibrate on")
    parser.add_argument("--bits", type=int, default=8)
    parser.add_argument("--observer", default="auto")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/resnet20_ptq"))
    return parser.parse_args(argv)


def measure(args, path):
    """Quantizes, calibrates and exports the model; runs the file over all test images."""
    model = keras.saving.load_model(args.model)
    (x_train, _), (x, y) = datasets.load("cifar10")
    x = (x - MEAN) / STD
    q, quantize = timed(lambda: kqat.quantize(model, bits=args.bits))
    images = (x_train[: args.images] - MEAN) / STD
    _, calibrate = timed(lambda: kqat.calibrate(q, images, observer=args.observer, effort=[]))
    export, write = timed(lambda: kqat.export_tflite(q, path))
    check = kqat.verify(q, export, x)
    return {
        "float": top1(model.predict(x, batch_size=500, verbose=0), y),
        "keras": top1(q.predict(x, batch_size=500, verbose=0), y),
        "tflite": top1(Runner(export.content, batch=100).predict(x), y),
        "agreement": check.top1_agreement,
        "max_lsb": check.max_lsb,
        "bytes": len(export.content),
        "latency": Runner(export.content).latency(x),
        "quantize_s": quantize,
        "calibrate_s": calibrate,
        "export_s": write,
    }


def timed(work):
    """Returns the result of `work()` and its seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def report(m, machine):
    """Returns the table as Markdown."""
    header = ["float", "Keras", ".tflite", "agreement", "max LSB", "bytes", "latency µs"]
    header += ["quantize s", "calibrate s", "export s"]
    row = [f"{m[key]:.2%}" for key in ("float", "keras", "tflite", "agreement")]
    row += [m["max_lsb"], f"{m['bytes']:,}", f"{m['latency']:.0f}"]
    row += [f"{m[key]:.2f}" for key in ("quantize_s", "calibrate_s", "export_s")]
    return f"{machine}\n\n{markdown(header, [row])}"


if __name__ == "__main__":
    main()
