"""The examples in docstrings run as in a program of the user's."""

import pytest


@pytest.fixture(autouse=True)
def _in_a_users_module(doctest_namespace):
    """Gives classes that an example defines a module of their own: those of kqat's are taken for kqat's."""
    doctest_namespace["__name__"] = "__main__"
