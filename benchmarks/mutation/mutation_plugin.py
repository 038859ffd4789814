"""A plugin of pytest that records how long each test took, and lets hypothesis stop at its first failure."""

import json
import os

import hypothesis

_seconds = {}
_failed = set()


def pytest_configure(config):
    """Turns off the search for a smaller failing example, which can take minutes and decides nothing here."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", parent=hypothesis.settings(), phases=phases)
    hypothesis.settings.load_profile("mutation")


def pytest_runtest_logreport(report):
    """Adds up the time of a test's set-up, call and end, and notes what failed or was skipped."""
    if not report.passed:
        _failed.add(report.nodeid)
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration


def pytest_unconfigure(config):
    """Writes the times of the tests that passed to the file that KQAT_TIMES names."""
    if "KQAT_TIMES" in os.environ:
        with open(os.environ["KQAT_TIMES"], "w") as file:
            json.dump({name: time for name, time in _seconds.items() if name not in _failed}, file)
