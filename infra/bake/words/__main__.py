"""Write the table of words for ImageNet's 1,000 classes.

python -m infra.bake.words [--wordnet DIR]

WordNet 3.0 comes from Debian's package `wordnet-base`. Which synsets are the classes, and in which order, comes from a
list in the package timm (Apache-2.0).
"""

import argparse
import sys
from pathlib import Path

from infra.bake.words.table import write_table
from infra.bake.words.wordnet import read_wordnet, rows_of
from infra.common import wheels
from infra.common.errors import OperatorError
from infra.common.hashing import file_sha256
from infra.common.paths import CACHE, MANIFESTS, shown

TABLE = MANIFESTS / "imagenet-words.tsv"

_REQUIREMENT = "timm==1.0.31"
_CLASSES = "timm/data/_info/imagenet_synsets.txt"
_CLASSES_SHA256 = "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"

_COMMENT = (
    "The words for ImageNet's classes and for what is above them, from WordNet 3.0, Copyright 2006 by Princeton",
    "University, all rights reserved; the licence is in WordNet-3.0.txt. Made by `python -m infra.bake.words`.",
    "Columns: synset, class, synsets above, words.",
)


def main() -> None:
    """Write the table, and print its SHA-256, which the manifest pins."""
    parser = argparse.ArgumentParser(description="Write the table of words for ImageNet's classes.")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=TABLE, help="(default: infra/manifests/imagenet-words.tsv)")
    parsed = parser.parse_args()
    (classes,) = wheels.fetch(_REQUIREMENT, {_CLASSES: _CLASSES_SHA256}, CACHE / "imagenet")
    rows = rows_of(read_wordnet(parsed.wordnet), classes.read_text("ascii").split())
    parsed.out.write_text(write_table(rows, _COMMENT), "utf-8")
    print(f"{shown(parsed.out)}: {len(rows)} synsets, sha256 {file_sha256(parsed.out)}")


if __name__ == "__main__":
    try:
        main()
    except OperatorError as error:
        sys.exit(str(error))
