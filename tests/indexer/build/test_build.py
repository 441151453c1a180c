import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from byline.errors import BuildFailed, CorruptIndex, InvalidRecipe, InvalidTask
from byline.index.index import AttributionIndex
from byline.index.verification import verify
from byline_indexer.build import build as building
from byline_indexer.build.build import build
from byline_indexer.units.workspace import Workspace
from tests.indexer.conftest import SMALL, Config, TaskFile


@dataclass
class Recorder:
    """Remembers what it is told; stops the build at the end of a phase if asked to."""

    stop_at: str = ""
    seen: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def progress(self, phase: str, done: int, total: int) -> None:
        if done and phase not in self.seen:
            self.seen.append(phase)
        if phase == self.stop_at and done >= total > 0:
            raise KeyboardInterrupt

    def message(self, message: str) -> None:
        self.said.append(message)


def contents(version: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(version)): path.read_bytes()
        for path in sorted(version.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("recipe", sorted(SMALL))
def test_every_recipe_builds_an_index_that_opens(config: Config, recipe: str) -> None:
    built = build(config(recipe))
    assert built.fresh
    with AttributionIndex.open(built.path.parent) as index:
        assert index.path == built.path
        assert index.rows == 90
        assert index.members[0].name.startswith("c0")
        assert [example.id for example in index.examples.by_rows(np.array([0, 89]))] == [
            "point-0",
            "point-89",
        ]
    assert not [path for path in built.path.parent.iterdir() if path.name.startswith(".build")]


@pytest.mark.parametrize("recipe", ["trak", pytest.param("ekfac", marks=pytest.mark.slow)])
def test_workers_do_not_change_a_byte(config: Config, recipe: str) -> None:
    alone = build(config(recipe, index="alone"))
    together = build(config(recipe, index="together", workers=2))
    assert alone.path.name == together.path.name
    assert contents(alone.path) == contents(together.path)


def test_shards_do_not_change_a_stored_number(config: Config) -> None:
    one = AttributionIndex.open(build(config("trak", index="one")).path)
    many = AttributionIndex.open(build(config("trak", index="many", storage={"shard_rows": 7})).path)
    every = np.arange(90)
    assert (one.vectors.gather(every) == many.vectors.gather(every)).all()
    assert (one.self_influence == many.self_influence).all()
    assert len(list((many.path / "vectors").iterdir())) == 13


FINGERPRINTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "damping": ({"changes": {"curvature": {"damping": 0.2}}}, {}),
    "projection seed": ({"changes": {"projection": {"size": 24, "seed": 1}}}, {}),
    "threads": ({"threads": 2}, {}),
    "storage": ({"storage": {"dtype": "fp32"}}, {}),
    "a weight": ({}, {"WEIGHT_SHIFT": 1e-3}),
    "an item": ({}, {"DATA_SHIFT": 1e-3}),
    "metadata": ({}, {"LICENSE": "GPL-3.0-only"}),
}


@pytest.mark.parametrize("what", sorted(FINGERPRINTS))
def test_whatever_changes_gives_another_version(config: Config, task_file: TaskFile, what: str) -> None:
    settings, constants = FINGERPRINTS[what]
    first = build(config("trak", task=task_file()))
    second = build(config("trak", task=task_file(**constants), **settings))
    assert second.fresh
    assert second.path != first.path
    assert (first.path.parent / "current").read_text().strip() == second.path.name


def test_another_task_file_gives_another_version(config: Config, task_file: TaskFile) -> None:
    first = build(config("trak", task=task_file()))
    path = task_file()
    source = path.read_text()
    path.write_text(source.replace("per_example_loss", "loss_of_each") + "\n# a comment\n")
    assert build(config("trak", task=path)).path == first.path
    path.write_text(source.replace('reduction="none")', 'reduction="none") * 2'))
    assert build(config("trak", task=path)).path != first.path


def test_an_interrupted_build_of_another_fingerprint_is_not_used(config: Config, task_file: TaskFile) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(config("trak", task=task_file()), Recorder(stop_at="project"))
    changed = task_file(WEIGHT_SHIFT=1e-3)
    recorder = Recorder()
    resumed = build(config("trak", task=changed), recorder)
    assert "unfinished builds of other settings" in recorder.said[0]
    undisturbed = build(config("trak", task=changed, index="undisturbed"))
    assert contents(resumed.path) == contents(undisturbed.path)


@pytest.mark.parametrize(
    "stop_at",
    ["read training set", "project", "measure fisher", "reduce fisher", "emit", "write vectors"],
)
def test_an_interrupted_build_goes_on_and_ends_the_same(config: Config, stop_at: str) -> None:
    undisturbed = build(config("trak", index="undisturbed"))
    with pytest.raises(KeyboardInterrupt):
        build(config("trak"), Recorder(stop_at=stop_at))
    recorder = Recorder()
    resumed = build(config("trak"), recorder)
    assert contents(resumed.path) == contents(undisturbed.path)
    if stop_at not in {"read training set"}:
        assert "going on with it" in recorder.said[0]
    if stop_at in {"emit", "write vectors"}:
        assert not {"project", "measure fisher", "emit"} & set(recorder.seen)


def test_other_libraries_start_over(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        build(config("trak"), Recorder(stop_at="project"))
    monkeypatch.setattr("byline.index.libraries.__version__", "0.0")
    recorder = Recorder()
    build(config("trak"), recorder)
    assert "starting over" in recorder.said[0]


def test_a_published_version_is_verified_and_left_alone(config: Config) -> None:
    first = build(config("trak"))
    before = (first.path / "manifest.json").stat().st_mtime_ns
    recorder = Recorder()
    again = build(config("trak"), recorder)
    assert again.path == first.path
    assert not again.fresh
    assert "already published" in recorder.said[0]
    assert (first.path / "manifest.json").stat().st_mtime_ns == before


def test_a_damaged_version_is_refused_and_force_repairs_it(config: Config) -> None:
    built = build(config("trak"))
    undamaged = contents(built.path)
    shard = built.path / "vectors/00000.npy"
    *kept, last = shard.read_bytes()
    shard.write_bytes(bytes([*kept, last ^ 1]))
    with pytest.raises(CorruptIndex, match=r"vectors/00000\.npy.*--force"):
        build(config("trak"))
    assert build(config("trak"), force=True).fresh
    assert contents(built.path) == undamaged


def test_a_build_that_was_killed_after_publishing_is_tidied_up(config: Config) -> None:
    built = build(config("trak"))
    left = built.path.parent / f".build-{built.path.name}"
    (left / "outputs").mkdir(parents=True)
    (built.path.parent / "current").unlink()
    assert not build(config("trak")).fresh
    assert not left.exists()
    assert (built.path.parent / "current").read_text().strip() == built.path.name


def test_a_full_disk_is_a_failed_build_that_goes_on_later(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Workspace.write, list[object]()

    def full(self: object, unit: object, *made: object) -> object:
        calls.append(unit)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        return real(self, unit, *made)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr("byline_indexer.units.workspace.Workspace.write", full)
        with pytest.raises(BuildFailed, match=r"stage 'project', member c0, block 4.*No space left.*kept"):
            build(config("trak"))
    recorder = Recorder()
    built = build(config("trak"), recorder)
    assert "going on with it" in recorder.said[0]
    assert verify(built.path).intact


def test_a_failing_writer_is_a_failed_build(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building, "write_index", full)
    with pytest.raises(BuildFailed, match=r"writing the index failed: OSError.*No space left"):
        build(config("trak"))


def test_two_builds_of_one_version_are_kept_apart(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reentrant(Recorder):
        def progress(self, phase: str, done: int, total: int) -> None:
            if phase == "emit" and done:
                build(config("trak"))

    with pytest.raises(BuildFailed, match="another process is building"):
        build(config("trak"), Reentrant())


BROKEN = {
    "no file": (None, "expected a Python file"),
    "syntax": ("def task(:\n", "SyntaxError"),
    "no function": ("x = 1\n", "expected a function 'task'"),
    "another type": (
        "def task():\n    return {}\n",
        "to return a byline.task.Task, got dict",
    ),
    "an error": ("def task():\n    return 1 / 0\n", "ZeroDivisionError"),
    "an import": ("import no_such_module\n", "ModuleNotFoundError"),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_a_broken_task_file_is_an_invalid_task(config: Config, tmp_path: Path, what: str) -> None:
    text, message = BROKEN[what]
    path = tmp_path / "broken.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidTask, match=message):
        build(config("trak", task=path))
    assert not (tmp_path / "index").exists()


def test_a_recipe_that_the_task_cannot_serve_is_refused(config: Config, task_file: TaskFile) -> None:
    with pytest.raises(InvalidRecipe, match="positions below 2"):
        build(config("trak", changes={"members": {"checkpoints": [5]}}))
    path = task_file()
    path.write_text(path.read_text().replace('targets={"margin": margin, "logit": logit},', ""))
    with pytest.raises(InvalidTask, match="expected one of the targets loss"):
        build(config("trak", task=path))


def test_an_index_lies_nowhere_but_in_its_directory(config: Config, tmp_path: Path) -> None:
    built = build(config("trak"))
    moved = tmp_path / "elsewhere"
    shutil.move(built.path, moved)
    with AttributionIndex.open(moved) as index:
        assert index.rows == 90


def test_spellings_of_an_owner_are_one_and_told(config: Config, task_file: TaskFile) -> None:
    path = task_file()
    spelled = r"""owner=["Zo\u00eb", "Zoe\u0308", " Zo\u00eb ", "ada"][row % 4]"""
    path.write_text(path.read_text().replace('owner=f"owner-{row % 4}"', spelled))
    recorder = Recorder()
    with AttributionIndex.open(build(config("trak", task=path), recorder).path) as index:
        assert index.owners.names == ("Zo\u00eb", "ada")
    assert any(text.startswith("owners with several spellings") for text in recorder.said), recorder.said
