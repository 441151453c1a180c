"""The modules beside a Task file are part of its source, and each Task has its own."""

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from byline.loading.task_file import load_task
from tests.byline.loading.conftest import SOURCE


def test_a_neighbor_that_changes_is_another_source(folder: Path) -> None:
    first = load_task("mytask.py:task", base=folder)
    assert load_task("mytask.py:task", base=folder).digest == first.digest
    (folder / "stranger.py").write_text("UNUSED = 1\n")
    assert load_task("mytask.py:task", base=folder).digest == first.digest
    (folder / "neighbor.py").write_text("from deeper.width import WIDTH  # changed\n")
    (folder / "deeper").mkdir()
    (folder / "deeper/width.py").write_text("WIDTH = 3\n")
    second = load_task("mytask.py:task", base=folder)
    assert second.task.train_set[0].shape == (3,)
    (folder / "deeper/width.py").write_text("WIDTH = 1 + 3\n")
    third = load_task("mytask.py:task", base=folder)
    assert third.task.train_set[0].shape == (4,)
    assert len({first.digest, second.digest, third.digest}) == 3
    shutil.copytree(folder, folder / "moved", ignore=shutil.ignore_patterns("__pycache__"))
    assert load_task("moved/mytask.py:task", base=folder).digest == third.digest


def test_neighbors_of_one_name_are_each_tasks_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "mytask.py").write_text(SOURCE)
    (other / "neighbor.py").write_text("WIDTH = 5\n")
    elsewhere = ModuleType("neighbor")
    elsewhere.__file__ = "/elsewhere/neighbor.py"
    monkeypatch.setitem(sys.modules, "neighbor", elsewhere)
    first, second = (load_task("mytask.py:task", base=place) for place in (folder, other))
    assert [loaded.task.train_set[0].shape[0] for loaded in (first, second)] == [2, 5]
    assert [loaded.task.model().in_features for loaded in (first, second)] == [2, 5]
    assert [loaded.modules["neighbor"].WIDTH for loaded in (first, second)] == [2, 5]
    assert sys.modules["neighbor"] is elsewhere
    assert str(folder) not in sys.path


def test_a_package_that_is_imported_already_is_put_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = folder / "aroundit"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "neighbor.py").write_text("WIDTH = 7\n")
    (package / "mytask.py").write_text(SOURCE.replace("from neighbor", "from aroundit.neighbor"))
    monkeypatch.syspath_prepend(folder)
    fresh = load_task("mytask.py:task", base=package)
    assert not [name for name in sys.modules if name.startswith("aroundit")]
    before = importlib.import_module("aroundit.neighbor")
    assert load_task("mytask.py:task", base=package).digest == fresh.digest
    assert sys.modules["aroundit.neighbor"] is before
    assert sys.modules["aroundit"].neighbor is before
    assert load_task("aroundit.mytask:task").task.train_set[0].shape == (7,)
    for name in [name for name in sys.modules if name.startswith("aroundit")]:
        del sys.modules[name]


def test_made_up_files_are_nobodys_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.ops` has the file `_ops.py`, which is in no folder: not in the current one either."""
    monkeypatch.chdir(folder)
    (folder / "mytask.py").write_text(
        "import sys, types\n"
        "made_up = types.ModuleType('made_up_ops')\n"
        "made_up.__file__ = '_ops.py'\n"
        "sys.modules['made_up_ops'] = made_up\n" + SOURCE
    )
    try:
        loaded = load_task("mytask.py:task", base=folder)
        assert "made_up_ops" in sys.modules
        assert "made_up_ops" not in loaded.modules
    finally:
        sys.modules.pop("made_up_ops", None)
