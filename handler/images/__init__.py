"""Bytes of an image file to pixels, and pixels to the tensor that the model takes."""
