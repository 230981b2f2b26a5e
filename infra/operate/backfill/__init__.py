"""Embed the existing objects of a bucket, through the function's queue."""
