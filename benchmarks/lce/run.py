"""Is MyBnnNet of Keras 3, as a file for Larq Compute Engine, as small as larq's, and does it say the same?

Needs an environment with larq and Larq Compute Engine, as `make larq` sets one up.
"""

import argparse
import pathlib
import tempfile

import keras
import numpy as np

import kqat
import kqat.legacy  # noqa: F401  (before TensorFlow decides on a version of Keras)
from benchmarks.results import Results, machine, markdown
from examples import datasets, mybnnnet, mybnnnet_keras
from kqat_runtime.optional import require

BINARY = "LceBconv2d"


def main(argv=None):
    """Trains, exports both ways, compares, and prints the table."""
    args = parse(argv)
    settings = {"data": args.data, "epochs": args.epochs, "seed": args.seed}
    results = Results(args.out / f"{args.data}.json", settings)
    (x, y), (x_test, y_test) = ((2 * images - 1, labels) for images, labels in datasets.load(args.data))
    weights = args.out / f"{args.data}.keras"
    results.stage("training", lambda: train(x, y, args, weights))
    model = kqat.load_model(weights)
    results.stage("round trip", lambda: round_trip(model, x_test))
    results.stage("kqat", lambda: compare(model, kqat.export_lce(model), x_test, y_test))
    larq = twin(model)
    results.stage("larq", lambda: compare(larq, kqat.export_lce(larq), x_test, y_test))
    print(report(results))
    return results


def train(x, y, args, path) -> dict:
    """Trains the Keras 3 net and saves it."""
    keras.utils.set_random_seed(args.seed)
    model = mybnnnet_keras.build(x.shape[1:])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=64, epochs=args.epochs, verbose=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    return {"accuracy": history.history["accuracy"][-1]}


def twin(model):
    """Returns larq's MyBnnNet with the weights of the Keras 3 one."""
    copy = mybnnnet.build(model.input_shape[1:], model.output_shape[-1])
    weights = []
    for layer in model.layers:
        weights += layer.float_weights() if hasattr(layer, "float_weights") else layer.weights
    copy.set_weights([keras.ops.convert_to_numpy(weight) for weight in weights])
    return copy


def round_trip(model, x) -> dict:
    """Saves and loads the net, and compares binary weights and outputs."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        model.save(path)
        again = kqat.load_model(path)
    kernels = [(a, b) for a, b in zip(binary_kernels(model), binary_kernels(again), strict=True)]
    return {
        "weights": int(sum(a.size for a, _ in kernels)),
        "signs": all(bool(np.all(np.abs(a) == 1)) for a, _ in kernels),
        "different weights": int(sum(np.sum(a != b) for a, b in kernels)),
        "different outputs": int(np.sum(predict(model, x) != predict(again, x))),
    }


def binary_kernels(model) -> list[np.ndarray]:
    """Returns the kernels as the layers compute with them."""
    layers = [layer for layer in model.layers if getattr(layer, "kernel_quantizer", None) is not None]
    rounded = (layer.kernel_quantizer(layer.kernel, training=False) for layer in layers)
    return [keras.ops.convert_to_numpy(kernel) for kernel in rounded]


def predict(model, x) -> np.ndarray:
    """Returns the outputs in inference."""
    return np.asarray(model.predict(x, batch_size=1000, verbose=0))


def compare(model, export, x, y) -> dict:
    """Runs a file in Larq Compute Engine's interpreter and compares it with its model."""
    expected = predict(model, x)
    interpreter = require("larq_compute_engine.tflite.python.interpreter", extra="lce").Interpreter
    found = np.asarray(interpreter(export.content).predict(x))
    return {
        "bytes": len(export.content),
        "binary": export.report.operators[BINARY],
        "same class": int(np.sum(found.argmax(-1) == expected.argmax(-1))),
        "largest difference": float(np.abs(found - expected).max()),
        "model right": int(np.sum(expected.argmax(-1) == y)),
        "file right": int(np.sum(found.argmax(-1) == y)),
        "images": len(x),
    }


def report(results) -> str:
    """Returns the table of the README."""
    rows = []
    for name, what in (("kqat", "Keras 3, `export_lce`"), ("larq", "larq, LCE's converter")):
        r = results[name]
        share = f"{r['same class']} of {r['images']}"
        accuracy = [f"{100 * r[key] / r['images']:.2f} %" for key in ("model right", "file right")]
        rows.append([what, r["bytes"], r["binary"], share, f"{r['largest difference']:.1e}", *accuracy])
    head = ["net", "bytes", f"`{BINARY}`", "same class", "largest difference", "model", "file"]
    trip = results["round trip"]
    return "\n".join(
        [
            markdown(head, rows),
            "",
            f"Round trip through `.keras`: {trip['different weights']} of {trip['weights']} binary weights "
            f"and {trip['different outputs']} outputs differ. Size against larq: "
            f"{results['kqat']['bytes'] / results['larq']['bytes']:.3f}.",
            "",
            f"Machine: {machine()}.",
        ]
    )


def parse(argv):
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="lce", description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES, default="fashion-mnist")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/lce"))
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
