"""A short version of `make export-run`: each file format, exported by a process that reports its peak memory."""

from tests.soak.soak_export import LIMIT_MB, run


def test_every_vector_is_exported_within_the_memory_limit() -> None:
    items = 2000
    for found in run(items):
        assert (found.rows, found.wrong) == (items, 0), found.line()
        # About half of the limit: the interpreter, boto3 and pyarrow take most of it before the first item.
        assert found.peak_mb < LIMIT_MB / 2, found.line()
