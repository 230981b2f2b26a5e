"""Names: an object's `source`, and the keys of its result JSON in the results bucket. Needs no package."""

import hashlib

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024

# A version id has 32 characters, a multipart upload's ETag up to 38; then a dash, 8 of the fingerprint and `.json`.
_LONGEST_NAME = 128


def source_of(bucket: str, key: str) -> str:
    """The table's key of an object: `s3://bucket/key`, the key not encoded."""
    return f"s3://{bucket}/{key}"


def result_key(prefix: str, bucket: str, key: str, name: str) -> str:
    """The key of a result JSON. A key that would be longer than S3 allows is cut, and its SHA-256 appended.

    Args:
        prefix: put before it (`RESULTS_PREFIX`).
        bucket: the object's.
        key: the object's.
        name: the last part: what identifies the bytes and the model.
    """
    full = f"{prefix}{bucket}/{key}/{name}"
    return full if len(full.encode()) <= MAX_KEY_BYTES else _cut_prefix(prefix, bucket, key) + name


def result_prefixes(prefix: str, bucket: str, key: str) -> list[str]:
    """The prefixes under which an object's results may be; they are direct children of these."""
    full = f"{prefix}{bucket}/{key}/"
    length = len(full.encode())
    if length + _LONGEST_NAME <= MAX_KEY_BYTES:
        return [full]
    cut = _cut_prefix(prefix, bucket, key)
    return [cut] if length >= MAX_KEY_BYTES else [full, cut]


def _cut_prefix(prefix: str, bucket: str, key: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()
    room = MAX_KEY_BYTES - _LONGEST_NAME - len(f"{prefix}{bucket}/-{digest}/".encode())
    return f"{prefix}{bucket}/{key.encode()[: max(0, room)].decode(errors='ignore')}-{digest}/"
