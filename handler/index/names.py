"""The names of indexes and vectors."""

import hashlib

# Every index of a stack's vector bucket begins so.
INDEX_PREFIX = "dropvec-"

# Index names have at most 63 characters; 128 bits of the fingerprint are enough to distinguish models.
_FINGERPRINT_DIGITS = 32


def index_name(fingerprint: str) -> str:
    """The index of the vectors of one fingerprint (hex)."""
    return f"{INDEX_PREFIX}{fingerprint[:_FINGERPRINT_DIGITS]}"


def vector_key(source: str) -> str:
    """The key of an object's vector: SHA-256, hex, of its `s3://bucket/key`, since keys of vectors are shorter."""
    return hashlib.sha256(source.encode()).hexdigest()
