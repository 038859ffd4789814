"""Finds out which tests run which lines, and how long each test takes."""

import dataclasses
import json
import os
import subprocess
import sys


@dataclasses.dataclass(frozen=True)
class CoverageMap:
    """Which tests run which lines.

    Args:
        seconds: For each test that passes, its time.
        tests: For each file, for each line the tests that run it.
    """

    seconds: dict[str, float]
    tests: dict[str, dict[int, list[str]]]

    def covering(self, path, line, budget):
        """Returns the tests to try on a fault in a line, the quickest first, as many as fit into a time.

        Args:
            path: The file of the fault.
            line: Its line. What runs on import alone, a constant, counts as run by all tests of the file.
            budget: Seconds that the tests may take together, as measured without a fault.
        """
        lines = self.tests.get(path, {})
        found = set(lines.get(line, ())) or {name for names in lines.values() for name in names}
        # Tests of the file's own folder first: they look at what it computes, others only run it.
        stem = os.path.basename(path).removesuffix(".py")
        ranked = sorted(
            found, key=lambda name: (f"test_{stem}" not in name, self.seconds.get(name, 0.0), name)
        )
        chosen = []
        for name in ranked:
            budget -= self.seconds.get(name, 0.0) + 0.02  # what pytest itself needs for a test
            if budget < 0:
                break
            chosen.append(name)
        return chosen


def measure(root, folder, tests, out):
    """Runs the tests once under coverage, and returns the `CoverageMap` of those that pass.

    Args:
        root: The checkout.
        folder: What is to be covered, relative to it.
        tests: Folders of tests, relative to it.
        out: A folder for what is found, which a later call reads.
    """
    found = out / "coverage.json"
    if not found.exists():
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "mutation_plugin",
        ]
        command += [f"--cov={folder}", "--cov-context=test", "--cov-report=", *tests]
        environment = {
            **os.environ,
            "COVERAGE_FILE": str(out / ".coverage"),
            "KQAT_TIMES": str(out / "times.json"),
            "PYTHONPATH": os.pathsep.join(
                [str(root), os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")]
            ),
        }
        subprocess.run(command, cwd=root, env=environment, check=False)
        found.write_text(json.dumps(_read(root, out)))
    data = json.loads(found.read_text())
    lines = {path: {int(line): names for line, names in by.items()} for path, by in data["tests"].items()}
    return CoverageMap(data["seconds"], lines)


def _read(root, out):
    from coverage import CoverageData  # pyright: ignore[reportAttributeAccessIssue]

    data = CoverageData(str(out / ".coverage"))
    data.read()
    seconds = json.loads((out / "times.json").read_text())
    tests = {}
    for path in data.measured_files():
        found = tests[os.path.relpath(path, root)] = {}
        for line, contexts in data.contexts_by_lineno(path).items():
            # A context is "test|setup", "test|run" or "test|teardown", and empty while modules are imported.
            names = {context.split("|")[0] for context in contexts} & set(seconds)
            if names:
                found[line] = sorted(names)
    return {"seconds": seconds, "tests": tests}
