"""Lowerings of operations between 16-bit activations: int16 tensors, weights of at most 8 bits."""
