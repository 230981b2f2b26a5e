"""Search over the index: the function `Api`."""
