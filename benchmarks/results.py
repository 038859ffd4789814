"""What the benchmarks share: a results file that survives an interruption, tables, the machine."""

import json
import os
import pathlib
import platform
import time


class Results:
    """Named results in a JSON file, written after every stage, so that a later run goes on from there.

    Args:
        path: The file; its folder is made where missing.
        settings: What the results depend on. A file made with other settings is refused.
    """

    def __init__(self, path, settings):
        self.path = pathlib.Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.data = {"settings": settings, "machine": machine(), "stages": {}}
        if self.path.exists():
            self.data = json.loads(self.path.read_text())
            if self.data["settings"] != settings:
                raise ValueError(
                    f"{self.path} was made with the settings {self.data['settings']}. Received: {settings}. "
                    "Repeat the first ones, or name another folder with --out."
                )

    def __getitem__(self, stage):
        return self.data["stages"][stage]

    def __contains__(self, stage):
        return stage in self.data["stages"]

    def stage(self, name, compute):
        """Returns the result of a stage, from the file or from `compute()`, which is then recorded."""
        if name not in self:
            start = time.perf_counter()
            self.data["stages"][name] = {**compute(), "seconds": round(time.perf_counter() - start, 1)}
            write_atomically(self.path, json.dumps(self.data, indent=2) + "\n")
        return self[name]


def write_atomically(path, text):
    """Writes a file so that a reader finds the old text or the whole new one, never a part."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    os.replace(partial, path)


def markdown(header, rows):
    """Returns a Markdown table; cells are turned into text with `str`."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def machine():
    """Returns one line on the processor, its cores and the versions that matter for a result."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in ("keras", "tensorflow", "ai-edge-litert", "tensorflow-model-optimization"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, Python {platform.python_version()}, {', '.join(found)}"


def _processor():
    """Returns the processor's model name, where the system tells it."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
