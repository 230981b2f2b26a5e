"""Search on a stack: queries, and the index as a copy of the table."""
