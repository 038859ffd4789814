"""Optimizers of binary networks."""

from kqat.optimizers.bop import Bop
from kqat.optimizers.case import CaseOptimizer

__all__ = ["Bop", "CaseOptimizer"]
