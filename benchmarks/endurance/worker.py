"""One stage in a process that may die: it says where it is, and prints what it found as JSON."""

import argparse
import json
import pathlib
import resource
import signal
import tempfile

from benchmarks.endurance import abuse, fuzz

HANG = 60  # seconds after which an input counts as a hang of the caller


def _stage(name: str):
    if name in abuse.STAGES:
        return abuse.STAGES[name]
    from benchmarks.endurance import killed  # which imports Keras: it forks what needs it

    return getattr(killed, name)


def main():
    """Runs what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--stop", type=int, default=0)
    parser.add_argument("--place", type=pathlib.Path, required=True, help="file for the number of the input")
    parser.add_argument("--seeds", type=pathlib.Path, required=True, help="folder of the sound files")
    args = parser.parse_args()

    def alive(number):
        args.place.write_text(str(number))
        signal.alarm(HANG)  # which ends the process

    with tempfile.TemporaryDirectory() as folder:
        for seed in args.seeds.iterdir():
            pathlib.Path(folder, seed.name).write_bytes(seed.read_bytes())
        where = pathlib.Path(folder)
        if args.stage in fuzz.KINDS:
            counts = fuzz.run(args.stage, args.seed, args.start, args.stop, where, alive)
        else:
            counts = _stage(args.stage)(args.stop - args.start, args.seed + args.start, where)
        for name in ("seed_True.tflite", "seed_False.tflite"):  # made once: the rest needs no framework
            if pathlib.Path(folder, name).exists():
                (args.seeds / name).write_bytes(pathlib.Path(folder, name).read_bytes())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**counts, "peak MiB": round(peak)}))


if __name__ == "__main__":
    main()
