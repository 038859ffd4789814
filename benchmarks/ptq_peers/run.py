"""What do networks keep that kqat, TensorFlow's converter and ai-edge-quantizer only calibrate?"""

import argparse
import pathlib

from benchmarks.ptq_peers import peers
from benchmarks.resnet20_ptq.run import timed
from benchmarks.results import Results, markdown
from benchmarks.trained_nets.nets import NETS
from examples.runtime import Runner, top1

WAYS = {
    "TensorFlow's converter, W8A8": lambda model, images: peers.converter_file(model, images),
    "ai-edge-quantizer, W8A8": lambda model, images: peers.ai_edge_file(model, images, 8, peers.MIN_MAX),
    "ai-edge-quantizer, W8A8, MSE": lambda model, images: peers.ai_edge_file(model, images, 8, peers.MSE),
    "ai-edge-quantizer, W4A8": lambda model, images: peers.ai_edge_file(model, images, 4, peers.MIN_MAX),
    "ai-edge-quantizer, W4A8, MSE": lambda model, images: peers.ai_edge_file(model, images, 4, peers.MSE),
    "kqat, W8A8": lambda model, images: peers.kqat_file(model, images, 8, "fast"),
    "kqat, W4A8, fast": lambda model, images: peers.kqat_file(model, images, (4, 8), "fast"),
    "kqat, W4A8, balanced": lambda model, images: peers.kqat_file(model, images, (4, 8), "balanced"),
}


def main(argv=None):
    """Measures what is not in the results file yet, then prints the table."""
    args = parse(argv)
    for key in args.nets:
        results = Results(args.out / f"{key}.json", {"images": args.images})
        net = NETS[key]
        model = net.load(args.models)
        (images, _), test_set = net.datasets()
        images = images[: args.images].copy()
        results.stage("float", lambda m=model, t=test_set: measure_float(m, t))
        for way, make in WAYS.items():
            results.stage(way, lambda f=make, m=model, i=images, t=test_set: measure(lambda: f(m, i), t))
        print(report(results, net.name))


def parse(argv):
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=pathlib.Path, required=True, help="folder of the float .keras files")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("benchmarks/ptq_peers/results"))
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["resnet8", "resnet20"])
    parser.add_argument("--images", type=int, default=1024, help="training images to calibrate on")
    return parser.parse_args(argv)


def measure_float(model, test_set):
    """Measures the float network."""
    x, y = test_set
    return {"top1": top1(model.predict(x, batch_size=500, verbose=0), y)}


def measure(make, test_set):
    """Makes a file and runs it over all test images; a file that cannot be made or run says why."""
    x, y = test_set
    try:
        content, seconds = timed(make)
        outputs = Runner(content, batch=100).predict(x)
    except (ValueError, RuntimeError) as error:  # what the peer does not support
        return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
    return {"top1": top1(outputs, y), "bytes": len(content), "quantize_s": round(seconds, 1)}


def report(results, name):
    """Returns the table as Markdown."""
    rows = []
    for way, m in results.data["stages"].items():
        if "failed" in m:
            rows.append([name, way, m["failed"], "–", "–"])
        else:
            bytes_, seconds = m.get("bytes"), m.get("quantize_s")
            rows.append([name, way, f"{m['top1']:.2%}", f"{bytes_:,}" if bytes_ else "–", seconds or "–"])
    settings = ", ".join(f"{key} {value}" for key, value in results.data["settings"].items())
    header = ["network", "quantized by", "`.tflite`", "bytes", "seconds"]
    return f"{results.data['machine']}; {settings}\n\n{markdown(header, rows)}"


if __name__ == "__main__":
    main()
