"""`byline build` and `byline recipes`, as a shell runs them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from byline.__main__ import compose
from byline.recipes import RECIPES
from tests.indexer.conftest import TINY


@pytest.fixture
def build_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(
        f"""task = "{TINY}:task"
[recipe]
name = "grad_dot"
projection = {{size = 24}}
[index]
path = "index"
[build]
block_rows = 16
batch_rows = 8
"""
    )
    return path


def test_a_build_prints_the_folder_of_its_version(build_file: Path) -> None:
    result = CliRunner().invoke(compose(), ["build", str(build_file)])
    assert result.exit_code == 0, result.output
    version = Path(result.stdout.strip().splitlines()[-1])
    assert version.parent == build_file.parent / "index"
    assert (version / "manifest.json").is_file()


def test_a_dry_run_prints_an_estimate_and_writes_nothing(build_file: Path) -> None:
    result = CliRunner().invoke(compose(), ["build", str(build_file), "--dry-run", "--workers", "2"])
    assert result.exit_code == 0, result.output
    assert "nothing was written" in result.output
    assert "project and emit" in result.output
    assert not (build_file.parent / "index").exists()


def test_every_recipe_is_listed() -> None:
    result = CliRunner().invoke(compose(), ["recipes"], env={"COLUMNS": "200"})
    assert all(name in result.output for name in RECIPES)
