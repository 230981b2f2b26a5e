"""Commands that work without AWS."""
