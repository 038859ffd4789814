"""Activations: which one serves a layer or function, as tables, kernels and formulas."""
