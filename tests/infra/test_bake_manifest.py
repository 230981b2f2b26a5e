"""Manifests: errors are one line that names the file and the key."""

from pathlib import Path

import pytest

from infra.bake.manifest_file import find_manifest, read_manifest
from infra.common.errors import OperatorError
from infra.common.paths import MANIFESTS
from tests.support.manifests import changed_manifest


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_manifest_is_valid_and_named_like_its_file(path: Path) -> None:
    assert find_manifest(path.stem) == path
    assert read_manifest(path).name == path.stem


def test_a_manifest_is_found_by_its_path_too(tmp_path: Path) -> None:
    own = changed_manifest(tmp_path, 'name = "efficientnet-lite0"', 'name = "own"')
    assert read_manifest(find_manifest(str(own))).name == "own"


def test_an_integer_and_the_same_float_are_the_same_model(tmp_path: Path) -> None:
    own = read_manifest(changed_manifest(tmp_path, "divisor = 1", "divisor = 1.0"))
    assert repr(own.preprocess) == repr(read_manifest(find_manifest("efficientnet-lite0")).preprocess)


@pytest.mark.parametrize("name", ["efficientnet-lite9", "no/such.toml", ""])
def test_the_error_of_an_unknown_model_lists_the_known_ones(name: str) -> None:
    with pytest.raises(OperatorError, match="efficientnet-lite0") as error:
        find_manifest(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("[preprocess]", "[preprocess]\nmeen = 1", "meen"),
        ("embedding_dim = 1280", "embedding_dim = 1280\ncolour = 1", "colour"),
        ("embedding_dim = 1280", "", "embedding_dim"),
        ("embedding_dim = 1280", 'embedding_dim = "1280"', "embedding_dim"),
        ("embedding_dim = 1280", "embedding_dim = 1280.0", "embedding_dim"),
        ("[licence]", "[license]", "licence"),
        ('output = "features"', "", "output"),
        ("input_size = 224", "input_size = true", "input_size"),
        ("mean = [127, 127, 127]", "mean = [127, 127]", "mean"),
        ("mean = [127, 127, 127]", "mean = 127", "mean"),
        ("std = [128, 128, 128]", 'std = [128, 128, "128"]', "std"),
        ('kind = "pypi"', 'kind = "ftp"', "kind"),
        ('interpolation = "bicubic"', 'interpolation = "cubic"', "interpolation"),
        ('channel_order = "rgb"', 'channel_order = "RGB"', "channel_order"),
        ('resize_mode = "shortest_side"', 'resize_mode = "squash"', "resize_mode"),
        ('builder = "', 'builder = "no-', "builder"),
        ('name = "efficientnet-lite0"', "name = ", "own.toml"),
        ('name = "efficientnet-lite0"', 'name = "../../elsewhere"', "name"),
        ("embedding_dim = 1280", 'embedding_dim = 1280\npath = "x"', "path"),
        ("embedding_dim = 1280", "embedding_dim = 0", "embedding_dim"),
        ("mean = [127, 127, 127]", "mean = [nan, 127, 127]", "mean"),
        ("std = [128, 128, 128]", "std = [128, 128, 0]", "std"),
        ("divisor = 1", "divisor = 0", "divisor"),
        ("divisor = 1", "divisor = inf", "divisor"),
    ],
)
def test_an_error_is_one_line_that_names_the_key(tmp_path: Path, old: str, new: str, names: str) -> None:
    with pytest.raises(OperatorError, match=names) as error:
        read_manifest(changed_manifest(tmp_path, old, new))
    assert "\n" not in str(error.value)
    assert "own.toml" in str(error.value)
