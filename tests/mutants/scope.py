"""Which modules are mutated, and which tests concern each of them, the fastest first."""

from tests.mutants.fork import Children

_UNIT = "tests/unit"
_PROTOCOL = [
    f"{_UNIT}/test_order.py",
    f"{_UNIT}/test_items.py",
    f"{_UNIT}/test_vectors_that_cannot_be_stored.py",
    f"{_UNIT}/test_order_model.py",
    f"{_UNIT}/test_pipeline.py",
    f"{_UNIT}/test_versions.py",
    f"{_UNIT}/test_direct_texts.py::test_a_bundle_with_other_labels_renews_the_item_and_the_json",
    f"{_UNIT}/test_direct_texts.py::test_the_same_labels_again_change_nothing",
    f"{_UNIT}/test_direct_texts.py::test_scores_are_written_as_dynamodb_gives_them_back",
]
_EVENTS = [f"{_UNIT}/test_events.py", f"{_UNIT}/test_event_files.py"]
TARGETS = {
    "handler/results/protocol.py": _PROTOCOL,
    "handler/results/sequencing.py": _PROTOCOL,
    "handler/results/store.py": _PROTOCOL,
    "handler/results/item.py": _PROTOCOL,
    "handler/pipeline.py": [*_PROTOCOL, f"{_UNIT}/test_direct.py"],
    "handler/results/keys.py": _PROTOCOL,
    "handler/results/record.py": _PROTOCOL,
    "handler/triggers/events.py": _EVENTS,
}


def lines_by_test(file: str, tests: list[str], children: Children) -> dict[str, set[int]]:
    """Which lines of a module each test executes.

    Raises:
        RuntimeError: a test fails without a mutant.
    """
    return {test: children.lines(test)[file] for test in tests}
