"""Room for Keras to recurse in: it walks a functional model with a Python call for each layer in a row."""

import sys
from contextlib import contextmanager

# Python's own limit of 1,000 is below the depth of EfficientNetV2L with a layer for each rounding.
_DEPTH = 20_000


@contextmanager
def deep_recursion():
    """Returns a context in which functional models of up to 20,000 layers in a row can be put together.

    Usable as a decorator.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
