"""Stored results: item and JSON of a key, and the protocol that commits them."""
