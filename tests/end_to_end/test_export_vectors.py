"""A short run of what `make export-run` does with 100,000 vectors: each form, from a process that tells its memory."""

from tests.soak.soak_export import LIMIT_MB, run


def test_every_vector_is_in_the_file_and_memory_stays_small() -> None:
    items = 2000
    for found in run(items):
        assert (found.rows, found.wrong) == (items, 0), found.line()
        # Half of it is there before the first item comes: the interpreter, boto3, and pyarrow for one of them.
        assert found.peak_mb < LIMIT_MB / 2, found.line()
