"""The command that plans an ensemble."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from byline.__main__ import compose
from tests.indexer.conftest import TaskFile


@pytest.mark.parametrize("checkpoints", [1, 2])
def test_the_command_says_what_is_unknown(tmp_path: Path, task_file: TaskFile, checkpoints: int) -> None:
    task_file(CHECKPOINTS=checkpoints)
    (tmp_path / "build.toml").write_text(
        'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\nprojection.size = 24\n[index]\npath = "index"\n'
    )
    run = CliRunner().invoke(compose(), ["plan-ensemble", str(tmp_path / "build.toml"), "--budget", "6"])
    assert run.exit_code == 0, run.output
    if checkpoints == 1:
        assert "Recommended: 1 checkpoint x" in " ".join(run.output.split())
    assert " 1 masks" not in " ".join(run.output.split())
    assert ("rho_between is unknown" in " ".join(run.output.split())) == (checkpoints == 1)
    run = CliRunner().invoke(
        compose(), ["plan-ensemble", str(tmp_path / "build.toml"), "--budget", "6", "--json"]
    )
    found = json.loads(run.stdout)
    assert found["recommended"]["checkpoints"] <= checkpoints
    assert found["pilot"]["masks"] == 4
    assert not (tmp_path / "index").exists()
