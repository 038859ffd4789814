"""Fewer cases of a long list where every shape is compiled anew."""

import pytest


def few_on_jax(cases, *kept):
    """Returns the cases of a list, all but `kept` marked as ones that JAX leaves out.

    Eager operations are compiled there for each shape, a model's some hundred times. `kept` are cases that
    reach every operation of the list; other shapes of the same operations run on TensorFlow and PyTorch.
    """
    cases = list(cases)
    assert all(case in cases for case in kept)
    return [case if case in kept else pytest.param(case, marks=pytest.mark.repeats) for case in cases]
