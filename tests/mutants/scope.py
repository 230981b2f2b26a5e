"""Which modules are mutated, and which tests concern each of them, the fastest first."""

from tests.mutants.fork import Children

_UNIT = "tests/unit"
_PROTOCOL = [
    f"{_UNIT}/test_order.py",
    f"{_UNIT}/test_items.py",
    f"{_UNIT}/test_order_model.py",
    f"{_UNIT}/test_pipeline.py",
    f"{_UNIT}/test_versions.py",
    f"{_UNIT}/test_direct_texts.py",
    f"{_UNIT}/test_metrics.py::test_event_json_item_and_log_name_the_same_change",
    f"{_UNIT}/test_metrics.py::test_a_tombstone_has_the_id_of_its_deletion",
    f"{_UNIT}/test_direct.py",
]
_EVENTS = [
    f"{_UNIT}/test_events.py",
    f"{_UNIT}/test_event_files.py",
    f"{_UNIT}/test_metrics.py::test_event_json_item_and_log_name_the_same_change",
    f"{_UNIT}/test_triggers.py::test_poison_alone_stays_in_the_queue",
    f"{_UNIT}/test_triggers.py::test_groups_of_a_standard_queue_are_tenants_without_an_order",
    f"{_UNIT}/test_triggers.py::test_unreadable_task_is_a_permanent_failure",
]
TARGETS = {
    "handler/triggers/events.py": _EVENTS,
    "handler/results/sequencing.py": _PROTOCOL,
    "handler/results/protocol.py": _PROTOCOL,
    "handler/results/store.py": _PROTOCOL,
    "handler/results/item.py": _PROTOCOL,
    "handler/results/keys.py": _PROTOCOL,
    "handler/results/record.py": _PROTOCOL,
    "handler/pipeline.py": _PROTOCOL,
}


def lines_by_test(file: str, tests: list[str], children: Children) -> dict[str, set[int]]:
    """Which lines of a module each test executes.

    Raises:
        RuntimeError: a test fails without a mutant.
    """
    return {test: children.lines(test)[file] for test in tests}
