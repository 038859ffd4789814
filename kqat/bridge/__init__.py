"""From Keras 3 to tf_keras and back: architecture and weights."""

from kqat.bridge.convert import convert

__all__ = ["convert"]
