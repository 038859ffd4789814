"""What lowerings compute with and write: rounding, rescaling, borders, sums, windows."""
