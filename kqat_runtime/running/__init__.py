"""Runs files: on LiteRT, on Larq Compute Engine, here or in a process of its own."""
