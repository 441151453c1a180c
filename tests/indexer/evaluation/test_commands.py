"""The commands as people type them: evaluate, then inspect."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from byline.__main__ import main
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.index.quality_card import card_path

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], build_file: Path, tmp_path: Path) -> Run:
    """Runs a command on the build file; gives exit code, output and errors."""

    def call(command: str, *arguments: object) -> tuple[int, str, str]:
        place = (
            [tmp_path / "index"]
            if command == "inspect"
            else [build_file, "--out", tmp_path / "out", "--subsets", 8, "--tuning", 4]
        )
        with pytest.raises(SystemExit) as end:
            main([command, *map(str, place), *map(str, arguments)])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


def test_an_index_is_measured_inspected_and_asked(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("evaluate", "--metric", "lds", "--seeds", 2)
    assert code == 0
    assert "LDS" in out
    assert "noise ceiling" in out
    _, out, _ = run("inspect", "--json")
    facts = json.loads(out)
    assert facts["quality_card"]["measurements"][0]["protocol"]["seeds"] == 2
    _, out, _ = run("inspect")
    assert "LDS" in out
    attributor = Attributor.open(tmp_path / "index")
    answer = attributor.attribute(AttributionRequest(feature=[1.0] * attributor.index.width))
    assert answer.quality_card is not None
    assert answer.quality_card.text.startswith("LDS ")
    card_path(attributor.index.path).write_text("[]")
    _, out, _ = run("inspect")
    assert "no card" in out


def test_the_table_tells_seeds_owners_and_baselines(run: Run) -> None:
    code, out, _ = run("evaluate", "--metric", "owner", "--owners", 6)
    assert code == 0
    told = " ".join(out.split())
    assert "paired: the same for all subsets" in told
    assert "BM25, same truth" in told
    assert "representation similarity, same truth" in told
    assert "etter than" in told
    _, out, _ = run("inspect")
    told = " ".join(out.replace("│", " ").split())
    assert "leave-one-owner-out" in told
    assert "6 owners left out of 20" in told
    assert "on the same truth BM25" in told


@pytest.mark.parametrize(
    ("command", "options", "says"),
    [
        ("evaluate", ["--alpha", 1.5], "alpha"),
        ("evaluate", ["--metric", "owner", "--owners", 2], "--owners"),
        ("evaluate", ["--queries", 50], "lower --queries or --tuning"),
        ("evaluate", ["--output", "nothing"], "expected one of the targets"),
        ("evaluate", ["--truth", "/nowhere.npz"], "'subsets', bool [S, 40]"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    run: Run, command: str, options: list[object], says: str
) -> None:
    code, _, error = run(command, *options)
    assert code == 2
    assert says in " ".join(error.split())
    assert "Traceback" not in error
