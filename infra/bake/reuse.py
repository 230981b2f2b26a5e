"""The bundle for a local command: an existing one, or one that is baked once and then reused."""

import sys
from pathlib import Path

import onnxruntime as ort
import orjson

from handler.errors import BundleError
from handler.model.bundle_files import check_size
from handler.model.spec import SPEC_FILE, load_spec
from infra.common.errors import OperatorError
from infra.common.files import create_folder
from infra.common.hashing import file_sha256
from infra.common.paths import MANIFESTS, MODELS, shown


def bundle_for(model: str) -> Path:
    """The directory of a model's bundle.

    Args:
        model: a manifest's name, such as `efficientnet-lite0`, which is baked into `build/models` unless an up-to-date
            bundle is there; or the path of a bundle.

    Raises:
        OperatorError: the path has no valid bundle, there is no manifest of that name, or the bake failed.
    """
    given = Path(model)
    if given.is_dir():
        try:
            _check(given)
        except BundleError as error:
            raise OperatorError(str(error)) from None
        return given.resolve()
    baked = MODELS / model
    try:
        _check(baked)
        _check_fresh(baked, model)
    except BundleError:
        from infra.bake import bake, find_manifest  # noqa: PLC0415 - onnx and httpx are needed only to bake

        find_manifest(model)
        create_folder(MODELS)
        print(f"Baking the model {model} into {shown(baked)} (once) ...", file=sys.stderr, flush=True)
        return bake(model, baked)
    return baked


def _check(bundle: Path) -> None:
    spec = load_spec(bundle)
    for tower in (spec, spec.text):
        if tower is not None:
            for file in (tower.graph, *(file for entry in tower.prepared for file in (entry.graph, entry.weights))):
                check_size(bundle, file)


def _check_fresh(bundle: Path, model: str) -> None:
    """Check that a bundle is up to date: made from the same manifest with the same onnxruntime.

    Raises:
        BundleError: it is not.
    """
    manifest = MANIFESTS / f"{model}.toml"
    fields = orjson.loads((bundle / SPEC_FILE).read_bytes())
    made = fields.get("manifest_sha256"), fields.get("prepared_by")
    if not manifest.is_file() or made != (file_sha256(manifest), ort.__version__):
        raise BundleError(f"{bundle} was baked from another version of the manifest, or with another onnxruntime")
