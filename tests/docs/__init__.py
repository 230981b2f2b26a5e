"""The checks of the documentation: `python -m tests.docs.check`."""
