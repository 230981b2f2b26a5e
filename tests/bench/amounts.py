"""What the warm measurements of the search process; a module without imports, for the process of the benchmarks."""

# Searches of one process.
SEARCHES = 200

# Numbers of a vector that the indexer writes.
DIMENSION = 512
