"""docs/baselines.md, followed by a newcomer: its Task, its commands, its Python."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byline.__main__ import main
from byline.baselines import BASELINES

PAGE = (Path(__file__).resolve().parents[3] / "docs/baselines.md").read_text(encoding="utf-8")
TASK, LIBRARY = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^byline (.*)$", PAGE, re.MULTILINE)
BUILD = 'task = "mytask.py:task"\n[recipe]\nname = "grad_dot"\n[index]\npath = "index"\n'


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert not end.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("newcomer")
    (folder / "mytask.py").write_text(TASK)
    (folder / "mytask.toml").write_text(BUILD)
    (folder / "queries.jsonl").write_text(json.dumps({"features": [1, 0, 1, 0, 0, 0]}))
    command("build", str(folder / "mytask.toml"))
    return folder


def test_the_commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    run = [shlex.split(line) for line in COMMANDS if not line.startswith("serve")]
    assert [arguments[0] for arguments in run] == ["query", "query", "scores"]
    for arguments in run:
        command(*arguments)
    printed = " ".join(capsys.readouterr().out.split())
    assert "by similarity (bm25)" in printed
    assert "by similarity (representation)" in printed
    assert np.load(folder / "knn.npy").shape == (1, 60)


def test_the_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(LIBRARY, "docs/baselines.md", "exec"), names)  # noqa: S102
    assert names["answer"].baseline == "bm25"
    assert "red" in names["task"].text(names["task"].train_set[names["answer"].proponents[0].row])
    for name in ("words_QR", "cosines_QR", "votes_QR"):
        assert names[name].shape == (2, 60)


def test_the_service_is_started_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    monkeypatch.setattr("byline_service.cli.serve._parse_indexes", lambda indexes, settings, with_task: [])
    monkeypatch.setattr("byline_service.cli.serve._open", lambda indexes, settings: {})
    monkeypatch.setattr(
        "byline_service.cli.serve._run", lambda settings, served, directories: started.append(settings)
    )
    arguments = next(shlex.split(line) for line in COMMANDS if line.startswith("serve"))
    command(*arguments)
    assert started[0].baselines == ("bm25", "representation")


def test_every_baseline_is_in_the_table() -> None:
    assert all(re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE) for name in BASELINES)
