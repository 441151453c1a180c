"""Tasks and weights are read safely, and what is wrong with them is said."""

import os
from pathlib import Path

import pytest

from byline.errors import InvalidTask
from byline.loading.task_file import load_task
from byline.models.checkpoints import pin_checkpoints
from byline.tasks import LocalModel
from tests.byline.loading.conftest import SOURCE
from tests.indexer.conftest import TINY


def test_a_file_and_its_neighbors(folder: Path) -> None:
    loaded = load_task("mytask.py:task", base=folder)
    assert loaded.task.name == "t"
    assert loaded.reference == f"{folder / 'mytask.py'}:task"
    before = loaded.digest
    (folder / "mytask.py").write_text(SOURCE + "\n# changed\n")
    assert load_task("mytask.py:task", base=folder).digest == before
    (folder / "mytask.py").write_text(SOURCE + "\nWIDTH = 2\n")
    assert load_task("mytask.py:task", base=folder).digest != before


def test_an_edit_within_the_second_runs_though_it_is_as_long(folder: Path) -> None:
    """Bytecode is known by the second and the size of its source."""
    path = folder / "mytask.py"
    before = path.stat()
    first = load_task("mytask.py:task", base=folder)
    path.write_text(SOURCE.replace('name="t"', 'name="u"'))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = load_task("mytask.py:task", base=folder)
    assert (first.task.name, second.task.name) == ("t", "u")
    assert first.digest != second.digest
    assert not list(folder.rglob("*.pyc"))


def test_relative_checkpoints_are_relative_to_the_tasks_file(folder: Path) -> None:
    source = SOURCE.replace(
        "Checkpoint(weights=model().state_dict())", "Checkpoint(weights='w.safetensors', recording='run')"
    )
    (folder / "mytask.py").write_text(source)
    loaded = load_task(str(folder / "mytask.py") + ":task")
    assert loaded.task.checkpoints[0].weights == folder / "w.safetensors"
    assert loaded.task.checkpoints[0].recording == folder / "run"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mytask.py", "file.py:function"),
        ("absent.py:task", "found none"),
        ("mytask.py:absent", "found none"),
        ("mytask.py:nothing", "got int"),
        ("mytask.py:broken", "raised KeyError"),
        ("syntax.py:task", "SyntaxError"),
        ("no.such.module:task", "ModuleNotFoundError"),
    ],
)
def test_wrong_references(folder: Path, reference: str, message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        load_task(reference, base=folder)


def test_only_the_checkpoints_that_are_used_are_pinned(folder: Path) -> None:
    task = load_task("mytask.py:task", base=folder).task
    assert pin_checkpoints(task, {}).checkpoints == task.checkpoints


def test_a_source_that_changes_while_it_runs_is_refused(folder: Path) -> None:
    path = folder / "mytask.py"
    touch = f"    __import__('pathlib').Path({str(path)!r}).write_text('# other')\n"
    path.write_text(path.read_text().replace("def task():\n", "def task():\n" + touch))
    with pytest.raises(InvalidTask, match=r"mytask\.py changed while"):
        load_task("mytask.py:task", base=folder)


def test_paths_that_a_task_names_are_relative_to_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a command is typed; a model that is declared in memory is looked up from the current folder."""
    folder, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    (folder / "mytask.py").write_text(
        f"""from dataclasses import replace
from pathlib import Path
from byline.loading.task_file import load_task
from byline.task import Checkpoint
from byline.tasks import LocalModel

def task():
    local = LocalModel(folder="model", checkpoints=("weights/a.safetensors", "{elsewhere}/b.safetensors"))
    tiny = load_task("{TINY}:task").task
    return replace(
        tiny,
        checkpoints=[Checkpoint(weights=path) for path in (*local.checkpoints, Path("c.safetensors"))],
        text=lambda item: str(local.folder),
    )
"""
    )
    task = load_task("../project/mytask.py:task").task
    assert task.text is not None
    assert task.text(None) == str(folder / "model")
    assert [checkpoint.weights for checkpoint in task.checkpoints] == [
        folder / "weights/a.safetensors",
        elsewhere / "b.safetensors",
        folder / "c.safetensors",
    ]
    assert LocalModel(folder=Path("model")).folder == Path("model")
