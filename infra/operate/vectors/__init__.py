"""All vectors of a table, in a file for whatever store a team uses."""
