"""The metadata of vectors: permitted values, and size."""

from infra.common.vector_filter import Metadata
from infra.local.s3vectors.errors import ValidationError
from infra.local.s3vectors.limits import FILTERABLE_BYTES, METADATA_BYTES, METADATA_KEYS


def check_metadata(metadata: object, non_filterable: frozenset[str]) -> Metadata:
    """Check the metadata of a vector.

    Args:
        metadata: as it came.
        non_filterable: keys that filters cannot use; their values do not count towards the smaller limit.

    Raises:
        ValidationError: it is no object; a value is neither a string, a number, a boolean nor a list of only strings
            or only numbers; or it is too large.
    """
    if not isinstance(metadata, dict):
        raise ValidationError("Metadata must be an object")
    if len(metadata) > METADATA_KEYS:
        raise ValidationError(f"Metadata object must have at most {METADATA_KEYS} keys")
    for value in metadata.values():
        _check_value(value)
    if metadata_bytes(metadata) > METADATA_BYTES:
        raise ValidationError(f"Metadata object must have at most {METADATA_BYTES} bytes")
    filterable = {key: value for key, value in metadata.items() if key not in non_filterable}
    if metadata_bytes(filterable) > FILTERABLE_BYTES:
        raise ValidationError(f"Filterable metadata must have at most {FILTERABLE_BYTES} bytes")
    return metadata


def metadata_bytes(metadata: Metadata) -> int:
    """The size to which the limits apply.

    It is not that of the JSON text: 4 bytes for the object, 8 and the key for each entry; a string counts its UTF-8
    bytes, a number 4, a boolean 0, and a list 4 and the value for each element. AWS does not document it; this was
    found by searching for the largest value that the service takes, for 24 shapes of metadata
    (https://github.com/FarukAda/aws-langchain-s3-vector-ts, docs/evidence/metadata-limits.md).
    """
    return 4 + sum(8 + len(key.encode()) + _value_bytes(value) for key, value in metadata.items())


def _value_bytes(value: object) -> int:
    if isinstance(value, list):
        return sum(4 + _value_bytes(element) for element in value)
    if isinstance(value, str):
        return len(value.encode())
    return 0 if isinstance(value, bool) else 4


def _check_value(value: object) -> None:
    if not isinstance(value, (str, bool, int, float, list)):
        raise ValidationError("Metadata values must be strings, numbers, booleans, or arrays")
    if isinstance(value, list):
        _check_list(value)


def _check_list(values: list[object]) -> None:
    if not values:
        raise ValidationError("Empty arrays are not allowed in metadata")
    types = set(map(type, values))
    if not (types == {str} or types <= {int, float}):
        raise ValidationError("Metadata array values must be strings or numbers")
