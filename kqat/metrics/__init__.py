"""Metrics of binary networks.

Threads: an object belongs to one training.
"""

from kqat.metrics.flip_ratio import FlipRatio

__all__ = ["FlipRatio"]
