"""What to do about operations without a lowering: TensorFlow's converter writes them, and only them."""

FALLBACKS = ("converter", "unchecked", "error")

__all__ = ["FALLBACKS"]
