"""Runs a `.tflite` file in a process of its own, so that a hostile file can crash or hang only that."""

from kqat.export.runtime import Runtime


def load(content: bytes, isolated: bool = True):
    """Placeholder."""
    return Runtime(content)
