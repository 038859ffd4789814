"""Weights of 1, 2 and 4 bits on disk, and how they become the exact file again."""
