"""Arithmetic that is written down once: computed in Keras, and appended to a program, by the same lines."""
