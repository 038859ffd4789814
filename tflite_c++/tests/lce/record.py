"""Writes files with binary operators, inputs for them, and what has to come out, for the C++ tests.

For each line `NAME TOLERANCE` of `cases.txt` there are `NAME.tflite`, `NAME.in` and `NAME.out`. The output
is computed from the definitions in reference.py. Where larq-compute-engine is installed, its own interpreter
has to agree with them first, and models that its converter makes of larq layers are added.
"""

import argparse
import importlib.util
import itertools
import pathlib

import numpy as np
import reference as ref
from files import File

RANDOM_CASES = 120
# Around images padded with zeros LCE's reference kernel rounds other sums than its default one, which is the
# one that counts. Each of four roundings is off by half a unit of 3 * products * |multiplier| + |bias|.
ROUNDINGS = 4 * 2.0**-24
REFERENCE = {"use_reference_bconv": True}


def main(argv=None):
    """Writes every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--cases", type=int, default=RANDOM_CASES, help="random ones, beside those of a list")
    arguments = parser.parse_args(argv)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    has_lce = importlib.util.find_spec("larq_compute_engine") is not None
    rng = np.random.default_rng(0)
    lines = []
    for i, settings in enumerate([*listed(), *(drawn(rng) for _ in range(arguments.cases))]):
        name = f"case{i}_" + "_".join(str(value).replace(" ", "") for value in settings.values())
        content, x, y, conv = build(rng, **settings)
        if has_lce:
            check_against_lce(name, content, x, y, conv)
        lines.append(write(arguments.folder, f"case{i}", content, x, y))
    if has_lce:
        import converted

        for name, content, x, y, tolerance in converted.cases():
            lines.append(write(arguments.folder, name, content, x, y, tolerance))
    (arguments.folder / "cases.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} cases, {'equal to' if has_lce else 'without'} larq-compute-engine")


def write(folder, name, content, x, y, tolerance=0.0):
    """Writes one case and returns its line."""
    (folder / f"{name}.tflite").write_bytes(content)
    x.tofile(folder / f"{name}.in")
    y.tofile(folder / f"{name}.out")
    return f"{name} {tolerance:g}"


def listed():
    """Returns settings that a draw might miss: each output with each padding, poolings, types of values."""
    base = {"image": (6, 7), "channels": (64, 64), "kernel": (3, 3)}
    for output, pad in itertools.product(("float32", "int8", "bits"), ("valid", "one", "zero")):
        yield base | {"output": output, "pad": pad}
        yield base | {"output": output, "pad": pad, "strides": (2, 2), "image": (9, 8)}
        yield base | {"output": output, "pad": pad, "dilations": (2, 2), "image": (9, 9)}
        yield base | {"output": output, "pad": pad, "groups": 2, "channels": (64, 48)}
        yield base | {"output": output, "pad": pad, "channels": (34, 33)}
        for activation in (1, 2, 3):
            yield base | {"output": output, "pad": pad, "activation": activation}
    for size, strides, same in itertools.product((2, 3), (1, 2), (True, False)):
        yield base | {"output": "bits", "pool": ((size, 2), (strides, 2), same)}
        yield {"image": (7, 5), "channels": (70, None), "pool": ((size, size), (strides, strides), same)}
    for x, y in itertools.product(("float32", "int8", "bool"), repeat=2):
        yield {"image": (3, 5), "channels": (37, None), "x": x, "y": y}
    yield base | {"pad": "one", "batch": 3}
    yield base | {"pad": "zero", "batch": 2, "channels": (31, 5)}
    yield base | {"channels": (320, 200), "kernel": (1, 1)}
    yield base | {"image": (2, 2), "pad": "zero"}
    yield base | {"image": (1, 5), "pad": "zero", "kernel": (2, 3), "dilations": (1, 3)}


def drawn(rng):
    """Returns random settings that LCE computes."""
    groups = int(rng.choice([1, 1, 1, 2, 3]))
    channels_in = int(rng.integers(1, 130)) if groups == 1 else 32 * groups * int(rng.integers(1, 3))
    output = str(rng.choice(["float32", "int8", "bits"]))
    settings = {
        "image": tuple(int(n) for n in rng.integers(7, 14, 2)),
        "channels": (channels_in, groups * int(rng.integers(1, 140 // groups))),
        "kernel": tuple(int(n) for n in rng.integers(1, 5, 2)),
        "strides": tuple(int(n) for n in rng.integers(1, 4, 2)),
        "dilations": tuple(int(n) for n in rng.integers(1, 3, 2)),
        "groups": groups,
        "pad": str(rng.choice(["valid", "one", "zero"])),
        "output": output,
        "activation": int(rng.integers(0, 4)),
        "x": str(rng.choice(["float32", "int8"])),
    }
    if (
        settings["pad"] == "zero"
        and (output != "float32" or settings["activation"])
        and channels_in // groups % 2
    ):
        settings["pad"] = "one"  # LCE has no kernel for the rest
    return settings


def build(
    rng,
    image,
    channels,
    kernel=(1, 1),
    strides=(1, 1),
    dilations=(1, 1),
    groups=1,
    pad="valid",
    output="float32",
    activation=0,
    pool=None,
    batch=1,
    x="float32",
    y="float32",
):
    """Returns a file quantize -> [conv] -> [pool] -> [dequantize], input, output, and the convolution."""
    shape = (batch, *image, channels[0])
    grid = (0.4, int(rng.integers(-100, 100)))
    data = values(rng, shape, x, grid[1])
    file = File(shape, x, grid if x == "int8" else None)
    file.quantize(shape)
    result = ref.quantize(data, {"float32": 0, "int8": grid[1], "bool": 1}[x])
    conv = None
    if channels[1] is not None:
        conv = ref.Conv(
            filter=rng.choice([-1, 1], (channels[1], *kernel, channels[0] // groups)),
            strides=strides,
            dilations=dilations,
            groups=groups,
            pad=pad,
            activation=activation,
            output=output,
            grid=(0.37, 11),
            **constants(rng, channels[1], int(np.prod(kernel)) * channels[0] // groups, output),
        )
        result = ref.convolve(conv, result)
        file.conv(conv, result.shape)
        if output != "bits":
            return file.content(), data, result, conv
    if pool is not None:
        result = ref.max_pool(result, *pool)
        file.max_pool(*pool, [*result.shape[:-1], -(-result.shape[-1] // 32)])
    file.dequantize(result.shape, y, grid)
    return file.content(), data, ref.dequantize(result, y, grid), conv


def values(rng, shape, dtype, zero_point):
    """Returns an input, exact and negative zeros in it."""
    if dtype == "bool":
        return rng.uniform(size=shape) < 0.5
    if dtype == "int8":
        return np.clip(zero_point + rng.integers(-3, 4, shape), -128, 127).astype(np.int8)
    x = rng.normal(size=shape).astype(np.float32)
    return np.where(rng.uniform(size=shape) < 0.1, rng.choice(np.float32([0.0, -0.0]), shape), x)


def constants(rng, channels, products, output):
    """Returns multipliers of both signs, ties and saturation among them, or thresholds."""
    kind = rng.integers(0, 8, channels)
    if output == "bits":
        threshold = products // 2 + rng.integers(-4, 5, channels)
        threshold[kind == 0] = np.iinfo(np.int32).max
        threshold[kind == 1] = np.iinfo(np.int32).min
        return {"threshold": threshold.astype(np.int32)}
    multiplier, bias = rng.normal(size=(2, channels)) * [[0.3], [2.0]]
    multiplier[kind == 0], bias[kind == 0] = 0.37 / 2, 0
    multiplier[kind == 1] = 50.0
    return {"multiplier": multiplier.astype(np.float32), "bias": bias.astype(np.float32)}


def check_against_lce(name, content, x, y, conv):
    """Raises AssertionError unless LCE's kernels compute `y`: all that can, at least one."""
    from larq_compute_engine.tflite.python.interpreter import Interpreter

    kernels = kernels_of(conv, x.shape[1:3])
    ran = []
    for kernel in kernels:
        try:
            found = Interpreter(content, **kernel).interpreter.predict([x])[0]
        except RuntimeError:
            continue
        if kernel == REFERENCE and conv is not None and conv.corrects_floats:
            largest = 3 * conv.products * np.abs(conv.multiplier) + np.abs(conv.bias)
            assert np.all(np.abs(found - y) <= ROUNDINGS * largest), f"{name} {kernel}"
        else:
            np.testing.assert_array_equal(found.view(np.uint8), y.view(np.uint8), err_msg=f"{name} {kernel}")
        ran.append(kernel)
    assert ran or not kernels, f"LCE cannot run {name}"


def kernels_of(conv, image):
    """Returns the kernels of LCE to compare with: those that neither crash nor are known to be wrong."""
    if conv is None or conv.pad != "zero":
        return [{}, {"use_indirect_bgemm": True}, REFERENCE]
    if conv.output == "bits":
        return []  # LCE 0.16 reads a multiplier here, which bits do not have
    if any(side < extent for side, extent in zip(image, conv.extent, strict=True)):
        return [REFERENCE]  # the others leave the zeros out of account where both sides stick out
    return [{}, {"use_indirect_bgemm": True}, REFERENCE]


if __name__ == "__main__":
    main()
