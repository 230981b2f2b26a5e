"""Embed what is in a bucket already, through the queue that the function reads."""
