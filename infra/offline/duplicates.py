"""Groups of near-identical pictures among the vectors of a file, without AWS."""

from pathlib import Path
from typing import Any

from infra.common.duplicates_report import DuplicatesOptions, check_options, report_duplicates
from infra.common.thumbnails import ReadPicture
from infra.offline.vector_file import load_vectors


def duplicates_of_file(
    path: Path, fingerprint: str | None, options: DuplicatesOptions, read: ReadPicture
) -> dict[str, Any]:
    """Find the groups, print or write them, and return them.

    Args:
        path: .parquet, .npz or .jsonl.
        fingerprint: which vectors of a file with several models; None where it has one.
        options: what to find, and where to write it.
        read: reads the pictures of a page.

    Raises:
        UsageError: an option is invalid.
        OperatorError: the file cannot be used.
    """
    check_options(options)
    file = load_vectors(path, fingerprint)
    return report_duplicates(file.sources, file.vectors, options, read)
