"""Records of what happens in the call of one layer, which hold for inputs of any size."""
