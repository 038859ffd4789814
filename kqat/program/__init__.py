"""What a file is meant to hold: operations, tensors, and what training left; between model and file."""
