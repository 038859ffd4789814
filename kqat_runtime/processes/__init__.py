"""Processes for what must not harm the caller, and what they exchange."""
