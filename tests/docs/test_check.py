from pathlib import Path

import pytest

from infra.common.paths import ROOT
from tests.docs.check import problems


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text("utf-8"), "utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text(
        "# Other page\n\n## Results\n\n## Results\n\n## `code` & more: äö\n", "utf-8"
    )
    return tmp_path


def found(root: Path, text: str) -> list[str]:
    (root / "README.md").write_text(text, "utf-8")
    return list(problems(root))


@pytest.mark.parametrize(
    "text",
    [
        "[a file](docs/other.md)",
        "[a folder](docs)",
        "![a picture](docs/other.md)",
        "# Here\n\n[a heading](#here)",
        "[a heading elsewhere](docs/other.md#results)",
        "[a heading that occurs twice](docs/other.md#results-1)",
        "[code and punctuation](docs/other.md#code--more-äö)",
        "[percent-encoded](docs/other.md#code--more-%C3%A4%C3%B6)",
        "[another host](https://example.com/no/such#anchor)",
        "`docs/other.md` and `docs/`",
        "```console\n[not a link](none.md)\n```",
        "```console\n$ make demo IMAGES=photos\n```",
        "`make deploy SET=Trigger=direct`",
        '`make deploy SET="Trigger=direct KeySuffix=.jpg"`',
        "`python3 -m infra backfill --reembed`",
        "`dropvec cost --memory`",
        "```console\n$ python3 -m infra get s3://bucket/key --json\n```",
        "```console\n$ python3 -m infra bake efficientnet-lite0 \\\n    --out build/bundle\n```",
        "```console\n$ AWS_PROFILE=mine python3 -m infra failures --format csv > failures.csv\n```",
        "```console\n$ .venv/bin/python -m tests.bench.quality photos\n```",
        "```console\n$ aws s3 ls --no-such-option\n```",
        "```console\n$ make demo\nmake nothing: a line of output\n```",
    ],
)
def test_what_is_right_is_passed(root: Path, text: str) -> None:
    assert found(root, text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a file](docs/none.md)", "leads to no file"),
        ("![a picture](none.png)", "leads to no file"),
        ("[![a picture](none.png)](docs/other.md)", "leads to no file"),
        ("[outside](../)", "leads to no file"),
        ("[a heading](#none)", "leads to no heading"),
        ("[a heading elsewhere](docs/other.md#none)", "leads to no heading"),
        ("[a third one](docs/other.md#results-2)", "leads to no heading"),
        ("[a heading of no page](Makefile#demo)", "leads to no heading"),
        ("| a table |\n|---|\n| [a file](none.md) |", "leads to no file"),
        ("`handler/none.py`", "is not in the repository"),
        ("`infra/../..`", "is not in the repository"),
        ("`make none`", "no target none"),
        ("`make demo NONE=1`", "no variable NONE"),
        ("`make deploy SET=None=1`", "no parameter None"),
        ('```console\n$ make deploy SET="Trigger=direct None=1"\n```', "no parameter None"),
        ("`python3 -m infra none`", "unknown command 'none'"),
        ("`python3 -m infra backfill --none`", "no option --none"),
        ("`dropvec none`", "unknown command 'none'"),
        ("```console\n$ python3 -m infra get\n```", "required: s3://BUCKET/KEY"),
        ("```console\n$ python3 -m infra get s3://bucket/key --none\n```", "unknown argument --none"),
        ("```console\n$ python3 -m infra failures --format xml\n```", "unknown value 'xml'"),
        ("```console\n$ python3 -m infra bake efficientnet-lite0 \\\n    --to build\n```", "required: --out"),
        ("```console\n$ echo yes | python3 -m infra none\n```", "unknown command 'none'"),
        ("```console\n$ make demo && make none\n```", "no target none"),
        ("```console\n$ .venv/bin/python -m tests.none.quality photos\n```", "no module tests.none.quality"),
        ("```console\n$ python3 -m infra compare 'a b.jpg\n```", "No closing quotation"),
        ("word " * 901, "901 words, more than 900"),
    ],
)
def test_what_is_wrong_is_named(root: Path, text: str, problem: str) -> None:
    (line,) = found(root, text)
    assert line.startswith("README.md:")
    assert problem in line


def test_the_line_is_named(root: Path) -> None:
    text = "# Page\n\nText.\n\n```console\n$ make demo\n$ make none\n```\n\n| a |\n|---|\n| b |\n| [c](none.md) |\n"
    assert [line.split(":")[1] for line in found(root, text)] == ["7", "13"]


def test_other_pages_are_looked_at(root: Path) -> None:
    for name in ("docs/deep/page.md", "events/README.md", ".github/ISSUE_TEMPLATE/bug.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("[a file](none.md)", "utf-8")
    assert [line.split(":")[0] for line in found(root, "")] == [
        "docs/deep/page.md",
        "events/README.md",
        ".github/ISSUE_TEMPLATE/bug.md",
    ]
