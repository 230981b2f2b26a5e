"""Which model bundle the local function gets: baked once, then reused."""

from pathlib import Path

from handler.errors import BundleError
from handler.model import GRAPH_FILE, SPEC_FILE, load_spec
from infra.errors import OperatorError
from infra.local.paths import MODELS, shown


def bundle_for(model: str) -> Path:
    """The bundle of a manifest's name, or of a directory that holds one.

    Args:
        model: such as `efficientnet-lite0`, baked into `build/models` when it is not there yet; or a path.

    Raises:
        OperatorError: there is neither a valid bundle there nor a manifest of that name, or it cannot be baked.
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
    except BundleError:
        from infra.bake import bake  # noqa: PLC0415 - onnx and httpx are only needed the first time

        print(f"Baking the model {model} into {shown(baked)} (once) ...", flush=True)
        return bake(model, baked)
    return baked


def _check(bundle: Path) -> None:
    graph = bundle / GRAPH_FILE
    if not graph.is_file() or graph.stat().st_size != load_spec(bundle).graph_bytes:
        raise BundleError(f"no whole model bundle at {bundle}: it needs {SPEC_FILE} and {GRAPH_FILE}; bake it again")
