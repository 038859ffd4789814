"""Layers that are several operations to the runtime: one rule a file, and the driver that applies them."""
