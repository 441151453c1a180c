from pathlib import Path

import pytest

from byline.errors import InvalidInput, InvalidTask
from byline_indexer.config import load_config

GOOD = """
task = "mine.py:task"

[recipe]
name = "ekfac"
curvature.damping = 0.5
members.masks = 4

[index]
path = "indexes/mine"
search = "compressed"

[build]
block_rows = 64
batch_rows = 16
workers = 2
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "build.toml"
    path.write_text(text)
    return path


def test_a_build_file_is_read_with_paths_relative_to_it(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD))
    assert config.task == f"{tmp_path / 'mine.py'}:task"
    assert config.index.path == tmp_path / "indexes/mine"
    assert config.index.storage().search == "compressed"
    assert config.recipe.curvature.model_dump()["damping"] == 0.5
    assert config.recipe.members.masks == 4
    assert (config.build.block_rows, config.build.workers, config.build.threads) == (64, 2, 1)


def test_a_module_stays_a_module(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, GOOD.replace("mine.py:task", "package.mine:task")))
    assert config.task == "package.mine:task"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("workers = 2", "worker = 2", "build.worker"),
        ("batch_rows = 16", "batch_rows = 10", "multiple of batch_rows"),
        ('search = "compressed"', 'search = "fuzzy"', "index.search"),
        ('path = "indexes/mine"', "", "index.path"),
        ("[recipe]", "[recipe", "expected a TOML document"),
        ('name = "ekfac"', "", "byline recipes"),
        ("workers = 2", "workers = 0", "build.workers"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, before: str, after: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_config(written(tmp_path, GOOD.replace(before, after)))


def test_an_unknown_recipe_and_a_wrong_change_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="one of the recipes arnoldi"):
        load_config(written(tmp_path, GOOD.replace('"ekfac"', '"best"')))
    with pytest.raises(InvalidInput, match="curvature"):
        load_config(written(tmp_path, GOOD.replace("damping = 0.5", "damping = -1")))


def test_a_missing_file_and_a_bad_reference_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected a build file"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(InvalidTask, match=r"file\.py:function"):
        load_config(written(tmp_path, GOOD.replace("mine.py:task", "mine.py")))


def test_the_task_and_the_index_are_relative_to_the_build_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (folder / "a.toml").write_text(
        'task = "tasks/t.py:task"\n[recipe]\nname = "ekfac"\n[index]\npath = "index"\n'
    )
    found = load_config(Path("project/a.toml"))
    assert found.task == f"{folder / 'tasks/t.py'}:task"
    assert found.index.path == folder / "index"
