"""Optimizers of binary networks.

Threads: an object belongs to one training.
"""

from kqat.optimizers.bop import Bop
from kqat.optimizers.case import CaseOptimizer

__all__ = ["Bop", "CaseOptimizer"]
