"""Commands that need no AWS."""
