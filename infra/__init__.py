"""Operator commands and the local AWS. Nothing in `handler` imports this."""
