"""What a bundle is, read without numpy or onnxruntime: enough to find its index and to choose how to search in it."""

from pathlib import Path

import orjson

from handler.errors import BundleError
from handler.frozen import frozen
from handler.model.json_fields import require_int, require_sha256, require_text

_SPEC_FILE = "model.json"


@frozen
class ModelIdentity:
    """The model of a bundle.

    Attributes:
        name: such as `mobileclip-s2`.
        fingerprint: hex; vectors can be compared if and only if theirs are equal.
        embedding_dim: the length of a vector.
        has_text_tower: whether it embeds texts.
    """

    name: str
    fingerprint: str
    embedding_dim: int
    has_text_tower: bool


def load_identity(bundle: Path) -> ModelIdentity:
    """Read `model.json`; the rest of it is checked where a tower is loaded.

    Raises:
        BundleError: there is no bundle, or `model.json` does not describe a model.
    """
    path = bundle / _SPEC_FILE
    try:
        fields = orjson.loads(path.read_bytes())
        return ModelIdentity(
            name=require_text(fields, "name"),
            fingerprint=require_sha256(fields, "fingerprint"),
            embedding_dim=require_int(fields, "embedding_dim", 1),
            has_text_tower=bool(fields.get("text")),
        )
    except OSError as error:
        raise BundleError(
            "no model bundle: set MODEL_DIR to a directory made by `python -m infra bake NAME --out DIR` "
            f"({path}: {error.strerror})"
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path} does not describe a model ({error!r}); bake the bundle again") from None
