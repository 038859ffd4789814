"""Settings shared by tests and examples, which run as in a program of the user's."""

import pytest


def pytest_configure(config):
    """Ignores what is said of models whose ranges are not set: many tests look at one.

    pytest would import kqat to read this in pyproject.toml, and with it a backend that tests/conftest.py
    has not set up yet.
    """
    config.addinivalue_line("filterwarnings", "ignore::kqat.core.errors.NotCalibratedWarning")


@pytest.fixture(autouse=True)
def _in_a_users_module(doctest_namespace):
    """Gives classes that an example defines a module of their own: those of kqat's are taken for kqat's."""
    doctest_namespace["__name__"] = "__main__"
