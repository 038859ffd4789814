"""A function for processes that are to hang."""

import ctypes
import os


def hang():
    """Says that it is there, and waits in native code without letting other threads of Python run."""
    os.write(1, b"x")
    ctypes.PyDLL(None).pause()
