import io
import json
from pathlib import Path

import numpy as np
from rich.console import Console

from infra.common.items import Item
from infra.common.text import printable
from infra.local.report import counts, shown_rows, table, write_jsonl

PREFIX = "s3://uploads/"


def success(name: str) -> Item:
    return {
        "source": PREFIX + name,
        "status": "success",
        "embedding": np.array([0.1, 1 / 3], dtype=np.float32),
        "embedding_dim": 2,
        "normalized": True,
        "labels": [{"label": "[b]cat\x1b", "score": 0.4149}, {"label": "animal", "score": 1}],
    }


def rejected(name: str) -> Item:
    return {"source": PREFIX + name, "status": "error", "error_code": "corrupt_image", "error": "…"}


def render(items: list[Item], near: dict[str, tuple[str, float]] | None = None, width: int = 120) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width)
    console.print(table(items, PREFIX, {item["source"]: 112.4 for item in items}, near or {}))
    return out.getvalue().splitlines()


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_each_outcome_has_a_row() -> None:
    items = [success("a b.jpg"), rejected("c.txt")]
    lines = render(items, {PREFIX + "a b.jpg": (PREFIX + "d.jpg", 0.98765)})
    assert cells(lines[0]) == ["file", "status", "dim", "ms", "label", "nearest neighbour"]
    assert cells(lines[2]) == ["a b.jpg", "success", "2", "112", "[b]cat� 0.41", "d.jpg 0.99"]
    assert cells(lines[3]) == ["c.txt", "corrupt_image", "—", "112", "—", "—"]


def test_the_sample_photos_fit_into_80_columns() -> None:
    names = ["hubble_deep_field.jpg", "clock_motion.png"]
    items = [success(name) | {"embedding_dim": 1280} for name in names]
    near = {PREFIX + name: (PREFIX + "clock_motion.png", 0.371) for name in names}
    lines = render(items, near, width=80)
    assert [cells(line)[0] for line in lines[2:]] == names, "no cell is folded"


def test_a_long_label_is_folded_not_the_names() -> None:
    item = success("hubble_deep_field.jpg") | {"labels": [{"label": "Old English sheepdog", "score": 0.5}]}
    lines = [cells(line) for line in render([item], width=80)[2:]]
    assert lines == [["hubble_deep_field.jpg", "success", "2", "112", "Old English", "—"], ["sheepdog 0.50"]]


def test_file_names_are_not_markup() -> None:
    lines = render([success("[red]x[/red].jpg")])
    assert cells(lines[2])[0] == "[red]x[/red].jpg"


def test_file_names_cannot_move_the_cursor() -> None:
    assert printable("a\x1b[2J\nb é日😀.jpg") == "a�[2J�b é日😀.jpg"


def test_of_many_images_the_first_and_last_are_shown() -> None:
    items = [success(f"{number:03}.jpg") for number in range(41)]
    assert [item["source"][-7:-4] for item in shown_rows(items)] == [f"{n:03}" for n in [*range(20), *range(36, 41)]]
    lines = render(items)
    assert cells(lines[2 + 20])[0] == "… 16 more …"
    assert len(lines) == 2 + 26
    assert shown_rows(items[:40]) == items[:40]


def test_counts() -> None:
    assert counts([rejected("a"), success("b"), success("c")]) == "2 success, 1 corrupt_image"


def test_results_jsonl_has_a_line_for_each_item(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.jsonl"
    write_jsonl([success("é.jpg"), rejected("b")], path)
    first, second = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    assert first["source"] == "s3://uploads/é.jpg"
    assert np.array_equal(np.array(first["embedding"], dtype=np.float32), success("x")["embedding"])
    assert second == rejected("b")
    assert [entry.name for entry in path.parent.iterdir()] == ["results.jsonl"]
