"""Train MyNet in float, quantize it at several widths, export, verify, compare: `make demo`."""

import argparse
import functools
import pathlib

import keras
from rich.console import Console
from rich.table import Table

import kqat
from examples import datasets, mynet
from examples.chart import accuracy_and_size
from examples.runtime import Runner, top1
from examples.training import train

# Float epochs; every quantized model is fine-tuned for half as many. The digits are few: one of
# their epochs takes half a second.
EPOCHS = {"digits": 24, "mnist": 4, "fashion-mnist": 6, "cifar10": 8}
CALIBRATION = 512
# Small batches: with few images, BatchNormalization needs the steps to learn its statistics.
BATCH = {"digits": 32}


def main(argv=None):
    """Runs the demo; `argv` as on the command line."""
    args = parse(argv)
    keras.utils.set_random_seed(args.seed)
    (x_train, y_train), test = datasets.load(args.data)
    args.out.mkdir(parents=True, exist_ok=True)
    epochs = args.epochs or EPOCHS[args.data]
    classes = int(y_train.max()) + 1
    fit = functools.partial(train, x=x_train, y=y_train, batch=BATCH.get(args.data, 64))
    model = fit(mynet.build(x_train.shape[1:], classes), epochs=epochs, title="float")
    rows = [float_row(model, *test)]
    for bits in args.bits:
        q = kqat.quantize(model, bits=bits)
        kqat.calibrate(q, x_train[:CALIBRATION])
        calibrated = top1(q.predict(test[0], verbose=0), test[1])
        fit(q, epochs=max(1, epochs // 2), title=f"{bits} bits")
        row = quantized_row(q, bits, args.out / f"mynet_{args.data}_{bits}bit.tflite", *test)
        rows.append({**row, "calibrated": calibrated})
    Console().print(table(rows, args.data))
    chart = args.out / f"mynet_{args.data}.png"
    accuracy_and_size(rows, chart, title=f"MyNet on {args.data}")
    print(f"Files and chart: {args.out}/ ({chart})")
    return rows


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--data", choices=datasets.NAMES, default="digits")
    parser.add_argument("--epochs", type=int, help="float epochs; half as many for each width")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4, 2])
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("demo"))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def float_row(model, x, y):
    """Returns the row of the float model; its size is that of its float32 weights."""
    size = 4 * model.count_params()
    return {"name": "float", "bits": 32, "keras": top1(model.predict(x, verbose=0), y), "bytes": size}


def quantized_row(q, bits, path, x, y):
    """Exports `q` to `path`, compares the file with the model on all test images, returns the row."""
    export = kqat.export_tflite(q, path)
    packed = kqat.export_tflite(q, path.with_stem(f"{path.stem}_packed"), weights="packed")
    report = kqat.verify(q, export, x)
    outputs = Runner(export.content, batch=64).predict(x)
    return {
        "name": f"W{bits}A{bits}",
        "bits": bits,
        "keras": top1(q.predict(x, verbose=0), y),
        "tflite": top1(outputs, y),
        "agreement": report.top1_agreement,
        "lsb": report.max_lsb,
        "bytes": len(export.content),
        "packed": len(packed.content),
        "latency": Runner(export.content).latency(x),
    }


COLUMNS = {
    "calibrated": ("top-1 calibrated", "{:.2%}"),
    "keras": ("top-1 Keras", "{:.2%}"),
    "tflite": ("top-1 file", "{:.2%}"),
    "agreement": ("agreement", "{:.2%}"),
    "lsb": ("max LSB", "{}"),
    "bytes": ("bytes", "{:,}"),
    "packed": ("packed", "{:,}"),
    "latency": ("latency µs", "{:.0f}"),
}


def table(rows, data):
    """Returns the rows as a rich table."""
    result = Table(title=f"MyNet on {data} (bytes of float: its weights)")
    result.add_column("model")
    for title, _ in COLUMNS.values():
        result.add_column(title, justify="right")
    for row in rows:
        cells = [form.format(row[key]) if key in row else "–" for key, (_, form) in COLUMNS.items()]
        result.add_row(row["name"], *cells)
    return result


if __name__ == "__main__":
    main()
