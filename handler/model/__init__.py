"""The model bundle: its specification, graphs, vectors, labels and texts."""
