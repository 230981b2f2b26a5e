"""Export of the table's vectors to a file."""
