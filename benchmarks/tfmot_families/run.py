"""Which families of keras.applications does the tfmot engine quantize that tfmot alone refuses?"""

import argparse
import json
import pathlib
import subprocess
import sys

from rich.progress import track

from benchmarks.results import machine, markdown, write_atomically

HERE = pathlib.Path(__file__).parent
# A small member of each family of tf_keras.applications; the first ten are those that tfmot 0.8.1 refuses.
MODELS = (
    *("MobileNetV3Small", "ResNet50V2", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0"),
    *("InceptionResNetV2", "NASNetMobile", "ConvNeXtTiny", "RegNetX002", "ResNetRS50"),
    *("MobileNet", "MobileNetV2", "ResNet50", "VGG16", "InceptionV3", "Xception"),
)
HEAD = """# tf_keras: what the tfmot engine quantizes

`kqat.quantize(model, engine="tfmot")` on one small member of each family of `tf_keras.applications`: W8A8,
random weights, images of {size} pixels; quantized, trained for one step, written as `.tflite`, run. The
table is generated:

```sh
python -m benchmarks.tfmot_families.run
```

* *tfmot alone*: whether `tfmot.quantization.keras.quantize_model` takes the model.
* *float* counts the layers without a rule; they are named below the table.
* *apart*: the largest difference between a probability of the model and of its file. The model simulates
  rounding in float32, the file computes on integers; the native engine has no such difference.
* *strip*: the largest difference between the float model and what `strip_fake_quant` gives back.

"""
COLUMNS = ("model", "tfmot alone", "layers", "float", "seconds", "bytes", "apart", "strip")


def main(argv=None):
    """Measures models one after the other, each in a process of its own, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--resume", action="store_true", help="leave out models with a result")
    parser.add_argument("--page", type=pathlib.Path, default=pathlib.Path("docs/tfmot.md"))
    args = parser.parse_args(argv)
    (HERE / "results").mkdir(exist_ok=True)
    for name in track(args.models, description="models"):
        path = HERE / "results" / f"{name}.json"
        if not (args.resume and path.exists()):
            write_atomically(path, json.dumps(measured(name, args.size), indent=1) + "\n")
        write_page(args.page, args.size)


def measured(name: str, size: int) -> dict:
    """Returns the result of one model, or the error that ended it."""
    command = [sys.executable, "-m", "benchmarks.tfmot_families.measure", name, str(size)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    found = json.loads(lines[-1]) if done.returncode == 0 else {"error": lines[-1][:300]}
    return found | {"machine": machine()}


def write_page(page: pathlib.Path, size: int) -> None:
    """Writes the page from the results that exist."""
    paths = {name: HERE / "results" / f"{name}.json" for name in MODELS}
    found = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    reasons = sorted({f"* {name}, {r}\n" for name, one in found.items() for r in one.get("reasons", [])})
    machines = "\n".join(sorted({one["machine"] for one in found.values()}))
    table = markdown(COLUMNS, [row(name, one) for name, one in found.items()])
    text = HEAD.format(size=size) + f"{machines}.\n\n{table}\n\n## Layers in float\n\n"
    write_atomically(page, text + ("".join(reasons) or "* none\n"))


def row(name: str, one: dict) -> list:
    """Returns the cells of one model; after an error the error."""
    if "error" in one:
        return [name, *["–"] * (len(COLUMNS) - 2), one["error"].replace("|", "/")]
    return [
        name, "refused" if one["tfmot"] else "taken", one["layers"], one["float"], one["seconds"],
        f"{one['bytes']:,}", f"{one['apart']:.4f}", f"{one['strip']:.1e}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
