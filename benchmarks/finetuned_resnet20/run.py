"""How accurate does `kqat.finetune` make ResNet-20 at 4, 3 and 2 bits on CIFAR-10?"""

import argparse
import pathlib

import keras
import numpy as np

import kqat
from benchmarks.results import Results, markdown
from benchmarks.trained_nets.nets import NETS, Shifted
from examples.runtime import top1

WIDTHS = {"W2A2": 2, "W4A4": 4, "W3A3": 3}
EPOCHS = {"W2A2": 60, "W4A4": 10, "W3A3": 30}
NET = NETS["resnet20"]
HELD_OUT = 5000  # training images that choose the epoch; nothing is trained on them


def main(argv=None):
    """Trains and measures what is not in the results file yet, then prints the table."""
    args = parse(argv)
    found = {}
    for width in args.widths:
        epochs = args.epochs or EPOCHS[width]
        settings = {"epochs": epochs, "batch": args.batch, "seed": args.seed, "held_out": HELD_OUT}
        path = args.out / f"{width}_{epochs}_epochs"
        results = Results(path.with_suffix(".json"), settings)
        results.stage("train", lambda w=width, n=epochs, p=path: train(w, n, p, args))
        results.stage("measure", lambda p=path: measure(p))
        found[width] = results
    print(report(found))
    return found


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, required=True, help="folder of resnet20_cifar10.keras")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/finetuned_resnet20"))
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=list(WIDTHS))
    parser.add_argument("--epochs", type=int, default=None, help="by default by the width")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def train(width, epochs, path, args):
    """Trains the network at a width, or goes on with it, after fewer epochs that were all there was, too."""
    keras.utils.set_random_seed(args.seed)
    folder = args.out / width
    teacher = NET.load(args.models)
    q = kqat.quantize(teacher, bits=WIDTHS[width])
    (x, y), _ = NET.datasets()
    order = np.random.default_rng(args.seed).permutation(len(y))
    held, kept = order[:HELD_OUT], order[HELD_OUT:]
    done = len(kqat.training.Curve.read(folder).rows)
    data = Shifted(x[kept], y[kept], args.batch, args.seed, done)
    curve = kqat.finetune(
        q, data, teacher, epochs, validation=(x[held], y[held]), folder=folder, seed=args.seed,
        verbose=1, jit_compile=False,
    )  # fmt: skip
    q.save(path.with_suffix(".keras"))
    curve.plot(path.with_suffix(".png"), f"ResNet-20, {width}")
    best = curve.rows[curve.best_epoch - 1]["val_accuracy"]
    return {"best_epoch": curve.best_epoch, "held_out": best, "reestimated": curve.reestimated}


def measure(path):
    """Exports the trained network, and compares Keras and both files on all test images."""
    q = kqat.load_model(path.with_suffix(".keras"))
    _, (x, y) = NET.datasets()
    ours = q.predict(x, batch_size=500, verbose=0)
    exact = kqat.export_tflite(q, path.with_suffix(".tflite"))
    packed = kqat.export_tflite(q, f"{path}_packed.tflite", weights="packed")
    theirs, expanded = (kqat.runtime.load(one.path).run([x])[0] for one in (exact, packed))
    return {
        "keras": top1(ours, y),
        "tflite": top1(theirs, y),
        "unequal": int(np.sum(ours != theirs)),
        "unequal_packed": int(np.sum(theirs != expanded)),
        "bytes": len(exact.content),
        "packed": len(packed.content),
    }


def report(found):
    """Returns the table as Markdown."""
    header = ["bits", "epochs", "best epoch", "held out", "Keras", ".tflite", "values that differ", "bytes"]
    rows = []
    for width, results in found.items():
        t, m = results["train"], results["measure"]
        row = [width, results.data["settings"]["epochs"], t["best_epoch"], f"{t['held_out']:.2%}"]
        row += [f"{m['keras']:.2%}", f"{m['tflite']:.2%}", f"{m['unequal']} / {m['unequal_packed']}"]
        rows.append([*row, f"{m['bytes']:,}", f"{m['packed']:,}"])
    machine = next(iter(found.values())).data["machine"]
    return f"{machine}\n\n{markdown([*header, 'packed'], rows)}"


if __name__ == "__main__":
    main()
