import re
from time import sleep

import pytest

from byline_indexer.cli import progress_bar
from byline_indexer.cli.progress_bar import bar, clock
from byline_indexer.progress import RemainingTime


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_phase_runs_at_its_own_speed() -> None:
    time = Clock()
    remaining = RemainingTime(time)
    remaining.progress("fast", 0, 100)
    remaining.progress("slow", 0, 100)
    assert remaining.seconds() is None
    time.now = 10.0
    remaining.progress("fast", 100, 100)
    assert remaining.seconds() == pytest.approx(10)  # slow has not begun: taken to be as fast
    time.now = 40.0
    remaining.progress("slow", 10, 100)
    assert remaining.seconds() == pytest.approx(270)
    assert remaining.fraction() == pytest.approx(40 / 310)


def test_nothing_announced_is_nothing_done() -> None:
    assert RemainingTime().fraction() == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_times_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_unwatched_a_finished_phase_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with bar() as observer:
        observer.message("going on [with] it")
        observer.progress("emit", 0, 20)
        observer.progress("emit", 10, 20)
        observer.progress("emit", 20, 20)
    assert capsys.readouterr().err.splitlines() == ["going on [with] it", "emit: 20 done"]


def test_unwatched_a_long_phase_is_told_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_bar, "EVERY", 0.05)
    with bar() as observer:
        observer.expect({"emit": 100.0})
        sleep(0.2)
        observer.progress("emit", 0, 20)
        observer.progress("emit", 10, 20)
        sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert "starting" in lines[0]
    assert re.fullmatch(r"emit, \d+% of all, .* left", lines[-1]), lines
    assert len(lines) >= 3
    sleep(0.1)
    assert capsys.readouterr().err == "", "nothing after the end"
