"""The documentation names everything that a user can set, call or receive."""

import re
from collections.abc import Iterable

import pytest

from handler.errors import Rejection
from handler.index.writer import Applied
from handler.metrics import Counts, Meter
from infra.cli.parser import make_parser
from infra.common.paths import MANIFESTS, ROOT, TEMPLATE
from infra.common.template import load
from tests.bench.__main__ import BEGIN, END, PAGE, with_tables
from tests.docs.markdown import read_page


def missing(page: str, names: Iterable[str]) -> list[str]:
    spans = {name for span in read_page(ROOT / "docs" / page).spans for name in span.text.split()}
    return [name for name in names if name not in spans]


def test_every_parameter_is_described() -> None:
    assert missing("deploying.md", load(TEMPLATE)["Parameters"]) == []


def test_every_environment_variable_is_described() -> None:
    settings = (ROOT / "handler" / "settings.py").read_text("utf-8")
    names = set(re.findall(r'environment, "([A-Z_]+)"|environment\.get\("([A-Z_]+)"', settings))
    assert len({one or other for one, other in names}) == 15
    assert missing("deploying.md", (one or other for one, other in names)) == []


def test_every_error_code_is_described() -> None:
    assert missing("events.md", [code.value for code in Rejection]) == []


def test_every_metric_is_described() -> None:
    counts = Counts(embedded=1, timings={"TotalMs": [1.0], "FetchMs": [1.0]})
    (line,) = Meter("function").lines(counts)
    names = [metric["Name"] for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert "ColdStarts" in names
    assert missing("operating.md", names) == []


def test_every_metric_of_the_indexer_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"VECTOR_BUCKET": "bucket", "AWS_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    from handler.index.app import counts_of  # reads its settings when it is imported

    names = counts_of(Applied(put=0, deleted=0, refused=()))
    assert "RefusedVectors" in names
    assert missing("operating.md", names) == []


def test_every_alarm_is_described() -> None:
    resources = load(TEMPLATE)["Resources"].items()
    alarms = [name for name, resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) >= 8
    assert missing("operating.md", alarms) == []


def test_every_model_is_described() -> None:
    names = [path.stem for path in MANIFESTS.glob("*.toml")]
    assert len(names) >= 6
    assert missing("models.md", names) == []


def test_every_command_is_described() -> None:
    commands = re.findall(r"^    ([a-z]+)\s", make_parser().format_help(), re.MULTILINE)
    assert len(commands) >= 13
    pages = [read_page(path) for path in (ROOT / "docs").glob("*.md") if path.name != "commands.md"]
    said = [snippet.text for page in pages for snippet in (*page.spans, *page.commands)]
    named = {words[3] for words in map(str.split, said) if words[:3] == ["python3", "-m", "infra"] and len(words) > 3}
    named |= {words[1] for words in map(str.split, said) if words[0] == "dropvec" and len(words) > 1}
    by_make = {words[1] for words in map(str.split, said) if words[0] == "make" and len(words) > 1}
    assert [command for command in commands if command not in named | by_make] == []


def test_the_tables_of_a_run_have_a_place() -> None:
    page = PAGE.read_text("utf-8")
    published = with_tables(page, "tables\n")
    assert f"{BEGIN}tables\n{END}" in published
    assert published.partition(BEGIN)[0] == page.partition(BEGIN)[0]
    assert published.partition(END)[2] == page.partition(END)[2]


@pytest.mark.parametrize("page", ["no marker\n", f"{BEGIN}no end\n", f"{END}no beginning\n"])
def test_a_page_without_a_place_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs the lines"):
        with_tables(page, "tables\n")
