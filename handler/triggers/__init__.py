"""Triggers: an event becomes jobs, and their outcomes become the answer that the sender expects."""
