"""What operations are said in, see `kqat.lowering.spelling`."""
