"""The search index: the table's stream of changes, applied to Amazon S3 Vectors.

The function `Indexer` runs this package. It loads no model, and imports neither onnxruntime, numpy nor Pillow.
"""
