"""Room for Keras to recurse in: it walks a functional model with a Python call for each layer in a row."""

import sys
import threading
from contextlib import contextmanager

# Python's own limit of 1,000 is below the depth of EfficientNetV2L with a layer for each rounding.
_DEPTH = 20_000


@contextmanager
def deep_recursion():
    """Returns a context in which functional models of up to 20,000 layers in a row can be put together.

    Usable as a decorator. The limit is one of the whole process: the first thread to come raises it, the
    last one to go puts it back.
    """
    _RAISED.enter()
    try:
        yield
    finally:
        _RAISED.leave()


class _Raised:
    """How many contexts are open, and the limit that there was before the first."""

    def __init__(self):
        self._lock = threading.Lock()
        self._open = 0
        self._before = self._during = 0

    def enter(self) -> None:
        with self._lock:
            if self._open == 0:
                self._before = sys.getrecursionlimit()
                self._during = max(self._before, _DEPTH)
                sys.setrecursionlimit(self._during)
            self._open += 1

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            # Where other code has set another limit meanwhile, theirs stays.
            if self._open == 0 and sys.getrecursionlimit() == self._during:
                sys.setrecursionlimit(self._before)


_RAISED = _Raised()
