"""Metrics of binary networks."""

from kqat.metrics.flip_ratio import FlipRatio

__all__ = ["FlipRatio"]
