"""The command `get`: an item as lines of text."""

from typing import Any

import pytest

from infra.operate.get import lines

ITEM = {"source": "s3://uploads/cat.jpg", "status": "success", "width": 640, "height": 480}


def shown(labels: list[dict[str, Any]]) -> str:
    (line,) = [line for line in lines(ITEM | {"labels": labels}) if line.strip().startswith("labels")]
    return line.split(maxsplit=1)[1]


@pytest.mark.parametrize(("count", "more"), [(1, ""), (5, ""), (6, ", and 1 more"), (12, ", and 7 more")])
def test_the_first_five_labels_are_shown(count: int, more: str) -> None:
    labels = [{"label": f"word {number}", "score": 1 - number / 16} for number in range(count)]
    first = ", ".join(f"word {number} {1 - number / 16:.3f}" for number in range(min(5, count)))
    assert shown(labels) == first + more


def test_an_item_without_labels_has_no_such_line() -> None:
    assert not any("labels" in line for line in lines(ITEM))
