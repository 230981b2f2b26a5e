"""Progress displays."""

import pytest

from infra.common.progress import Pace, duration, meter, size


def test_the_pace_is_that_of_the_last_minute() -> None:
    pace = Pace()
    assert (pace.rate, pace.seconds_left(100)) == (0.0, None)
    for second in range(100):
        pace.note(second, 10 * second)
    for second in range(100, 300):
        pace.note(second, 1000 + 2 * (second - 100))
    assert pace.rate == pytest.approx(2)
    assert pace.seconds_left(1000 + 2 * 199 + 60) == pytest.approx(30)


def test_a_stop_shows_in_the_pace() -> None:
    pace = Pace()
    for second in range(200):
        pace.note(second, min(second, 100))
    assert pace.rate == 0
    assert pace.seconds_left(1000) is None


@pytest.mark.parametrize(("seconds", "said"), [(4, "4 s"), (100, "2 min"), (7200, "2.0 h"), (100 * 3600, "4 days")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500.5, "1.5 kB"), (250e6, "250.0 MB"), (3e12, "3.0 TB")],
)
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with meter("work") as shown:
        shown.update(5, None)
        shown.update(10, 20, "nothing [special]", last=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("work: 10 of 20, nothing [special]")
