"""What a build reads is held to its first reading: an index is of one set of weights, one source and one data set."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from byline.api.example import Example
from byline.attribution.attributor import Attributor
from byline.errors import BuildFailed, StaleIndex
from byline.groups import GroupOptions
from byline.index.verification import verify
from byline.loading.task_file import LoadedTask, load_task
from byline.task import Task
from byline_indexer.build.build import build
from tests.indexer import tiny_task
from tests.indexer.build.test_build import Recorder, contents
from tests.indexer.conftest import TINY, Config

MOMENTS = {"scale": {"kind": "second_moment"}}


@pytest.fixture
def filed(tmp_path: Path) -> Path:
    """The tiny Task's file, with its weights and moments in files beside it."""
    for seed in range(2):
        save_file(tiny_task.weights(seed), tmp_path / f"c{seed}.safetensors")
        save_file(tiny_task.moments(seed), tmp_path / f"adam{seed}.safetensors")
    names = 'weights=f"c{seed}.safetensors", optimizer_state=f"adam{seed}.safetensors"'
    path = tmp_path / "filed_task.py"
    path.write_text(TINY.read_text().replace("weights=weights(seed)", names))
    return path


def overwrite(path: Path, *, in_place: bool = False) -> None:
    other = {name: tensor + 0.25 for name, tensor in load_file(path).items()}
    beside = path.with_name("other.safetensors")
    save_file(other, beside)
    if in_place:
        with path.open("r+b") as file:
            file.write(beside.read_bytes())
    else:
        beside.replace(path)


@dataclass
class When:
    """Does something once, as soon as a phase has begun, or is done."""

    phase: str
    action: Callable[[], object]
    whole: bool = False
    done: bool = field(default=False, init=False)

    def progress(self, phase: str, done: int, total: int) -> None:
        due = done == total if self.whole else done > 0
        if phase == self.phase and due and not self.done:
            self.done = True
            self.action()

    def message(self, message: str) -> None:
        """Nothing."""


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_weights_overwritten_between_units_fail_the_build(
    config: Config, filed: Path, workers: int, in_place: bool
) -> None:
    chosen = config("trak", task=filed, workers=workers)
    undisturbed = build(config("trak", task=filed, index="undisturbed"))
    weights, kept = filed.parent / "c1.safetensors", filed.parent / "kept"
    kept.write_bytes(weights.read_bytes())
    observer = When("project", lambda: overwrite(weights, in_place=in_place))
    with pytest.raises(BuildFailed, match=r"member c1.*weights at .*c1\.safetensors changed.*restore it"):
        build(chosen, observer)
    assert observer.done
    assert not (chosen.index.path / "current").exists()
    weights.write_bytes(kept.read_bytes())
    resumed = build(chosen)
    assert contents(resumed.path) == contents(undisturbed.path)


def test_weights_overwritten_before_workers_load_them_fail_the_build(config: Config, filed: Path) -> None:
    observer = When("read training set", lambda: overwrite(filed.parent / "c0.safetensors"), whole=True)
    with pytest.raises(BuildFailed, match=r"weights at .*c0\.safetensors changed"):
        build(config("trak", task=filed, workers=2), observer)


def test_weights_overwritten_after_the_model_was_checked_leave_an_index_of_the_old_ones(
    config: Config, filed: Path
) -> None:
    """The model that was loaded to plan the build is the one that is differentiated: no second loading could differ."""
    undisturbed = build(config("trak", task=filed, index="undisturbed"))
    observer = When("read training set", lambda: overwrite(filed.parent / "c0.safetensors"), whole=True)
    assert contents(build(config("trak", task=filed), observer).path) == contents(undisturbed.path)


def test_weights_overwritten_after_their_last_loading_leave_an_index_of_the_old_ones(
    config: Config, filed: Path
) -> None:
    chosen = config("trak", task=filed)
    undisturbed = build(config("trak", task=filed, index="undisturbed"))
    built = build(chosen, When("write vectors", lambda: overwrite(filed.parent / "c0.safetensors")))
    assert contents(built.path) == contents(undisturbed.path)
    with pytest.raises(StaleIndex, match=r"weights at .*c0\.safetensors changed"):
        Attributor.open(built.path)
    assert build(chosen).path != built.path


def test_moments_overwritten_between_units_fail_the_build(config: Config, filed: Path) -> None:
    chosen = config("logra", task=filed, changes=MOMENTS)
    observer = When("emit", lambda: overwrite(filed.parent / "adam1.safetensors"))
    with pytest.raises(BuildFailed, match=r"optimizer state at .*adam1\.safetensors changed"):
        build(chosen, observer)


def test_a_source_that_changes_before_workers_load_it_fails_the_build(config: Config, filed: Path) -> None:
    def change() -> None:
        filed.write_text(filed.read_text().replace("* 0.5", "* 0.6") + "\n# changed\n")

    observer = When("read training set", change, whole=True)
    with pytest.raises(BuildFailed, match=r"source of the Task .*filed_task\.py:task changed"):
        build(config("trak", task=filed, workers=2), observer)


class Counted:
    """A data set that counts its readings, and may change after some."""

    def __init__(self, items: Any, changing: int | None = None, after: int = 0) -> None:
        self.items, self.changing, self.after = items, changing, after
        self.read: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        self.read[int(row)] = self.read.get(int(row), 0) + 1
        x, label = self.items[row]
        return (x + 0.5 if row == self.changing and self.read[int(row)] > self.after else x), label


@pytest.fixture
def given(tiny: Task) -> Callable[..., LoadedTask]:
    """The tiny Task, loaded, with some fields replaced."""
    digest = load_task(f"{TINY}:task").digest
    return lambda **changes: LoadedTask(replace(tiny, **changes), f"{TINY}:task", digest)


def test_a_published_index_is_found_by_one_reading_of_each_row(
    config: Config, tiny: Task, given: Callable[..., LoadedTask]
) -> None:
    described: list[int] = []

    def describe(row: int) -> Example:
        described.append(row)
        return tiny.describe(row)

    def no_model() -> Any:
        raise AssertionError("no model is needed to find a published index")

    first = build(config(), loaded=given())
    counted = Counted(tiny.train_set)
    again = build(config(), loaded=given(train_set=counted, describe=describe, model=no_model))
    assert not again.fresh
    assert again.path == first.path
    assert counted.read == dict.fromkeys(range(90), 1)
    assert described == list(range(90))


@pytest.mark.parametrize(
    ("recipe", "changes"),
    [("ekfac", {}), ("logra", MOMENTS), ("trak", {"members": {"weights": "learning_rate"}}), ("if_cg", {})],
)
def test_recipes_of_all_kinds_are_found(config: Config, filed: Path, recipe: str, changes: Any) -> None:
    chosen = config(recipe, task=filed, changes=changes)
    first = build(chosen)
    recorder = Recorder()
    again = build(chosen, recorder)
    assert (again.path, again.fresh) == (first.path, False)
    assert recorder.seen == ["read training set", "verify"]


@pytest.mark.parametrize("change", ["data", "metadata", "weights", "recipe", "block_rows", "storage"])
def test_a_published_index_is_never_taken_for_another(
    config: Config, tiny: Task, given: Callable[..., LoadedTask], change: str
) -> None:
    first = build(config("trak"), loaded=given())
    x, label = tiny.train_set[89]
    other: dict[str, dict[str, Any]] = {
        "data": {"train_set": [*(tiny.train_set[row] for row in range(89)), (x + 1e-6, label)]},
        "metadata": {"describe": lambda row: tiny.describe(row).model_copy(update={"license": "other"})},
        "weights": {"checkpoints": tiny.checkpoints[::-1]},
    }
    chosen = {
        "recipe": config("grad_dot"),
        "block_rows": config("trak", block_rows=32),
        "storage": config("trak", storage={"dtype": "fp32"}),
    }.get(change, config("trak"))
    again = build(chosen, loaded=given(**other.get(change, {})))
    assert again.fresh
    assert again.path != first.path


@pytest.mark.parametrize("recipe", ["trak", "ekfac", "kfac"])
@pytest.mark.parametrize("row", [3, 50, 89])
def test_an_item_that_changes_between_readings_fails_the_build(
    config: Config, tiny: Task, given: Callable[..., LoadedTask], recipe: str, row: int
) -> None:
    changing = Counted(tiny.train_set)
    observer = When("read training set", lambda: setattr(changing, "changing", row), whole=True)
    with pytest.raises(BuildFailed, match=f"row {row} of the training set changed during"):
        build(config(recipe), observer, loaded=given(train_set=changing))


def test_data_that_change_between_readings_fail_workers_too(config: Config, tmp_path: Path) -> None:
    text = TINY.read_text()
    own = "generator = torch.Generator().manual_seed(0)\n    inputs"
    changed = text.replace(
        own, own.replace("0)", "int(__import__('pathlib').Path(__file__ + '.seed').read_text()))")
    )
    assert changed != text
    path, seed = tmp_path / "drifting.py", tmp_path / "drifting.py.seed"
    path.write_text(changed)
    seed.write_text("0")
    observer = When("read training set", lambda: seed.write_text("1"), whole=True)
    with pytest.raises(BuildFailed, match=r"row 0 of the training set changed during the build"):
        build(config("trak", task=path, workers=2), observer)


@pytest.mark.parametrize("groups", [None, {"by": "owner"}])
def test_every_row_is_described_once(
    config: Config, tiny: Task, given: Callable[..., LoadedTask], groups: dict[str, Any] | None
) -> None:
    calls: dict[int, int] = {}

    def describe(row: int) -> Example:
        calls[row] = calls.get(row, 0) + 1
        return tiny.describe(row)

    chosen = config("trak")
    if groups is not None:
        chosen = chosen.model_copy(update={"groups": GroupOptions.model_validate(groups)})
    build(chosen, loaded=given(describe=describe))
    assert calls == dict.fromkeys(range(90), 1)


@pytest.mark.parametrize(("recipe", "loads"), [("trak", 2), ("ekfac", 2)])
def test_every_checkpoint_is_loaded_and_checked_once(
    config: Config, tiny: Task, given: Callable[..., LoadedTask], recipe: str, loads: int
) -> None:
    """Two checkpoints, and two members of each where the recipe has masks."""
    made: list[int] = []

    def model() -> Any:
        made.append(len(made))
        return tiny.model()

    build(config(recipe), loaded=given(model=model))
    assert len(made) == loads


def test_an_evaluation_set_that_changes_fails_the_build(config: Config, filed: Path) -> None:
    loaded = load_task(f"{filed}:trained_task")
    items = loaded.task.evaluation_set
    changing = Counted(items, changing=11, after=1)
    task = replace(loaded, task=replace(loaded.task, evaluation_set=changing))
    chosen = config("trak", task=filed, changes={"curvature": {"evaluation": 0.5}})
    with pytest.raises(BuildFailed, match="row 11 of the evaluation set changed"):
        build(chosen, loaded=task)


@pytest.fixture
def world_readable() -> Iterator[None]:
    """The usual umask, whatever the machine's is."""
    import os

    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("world_readable")
@pytest.mark.parametrize(("recipe", "storage"), [("ekfac", {}), ("trak", {"search": "compressed"})])
def test_another_user_can_read_every_file_of_an_index(
    config: Config, recipe: str, storage: dict[str, Any]
) -> None:
    built = build(config(recipe, storage=storage))
    verify(built.path)
    folder = built.path.parent
    for path in [folder, *folder.rglob("*")]:
        wanted = 0o755 if path.is_dir() else 0o644
        assert path.stat().st_mode & 0o777 == wanted, path
    assert any(re.search("curvature/.*safetensors$", str(path)) for path in folder.rglob("*"))
    assert torch.is_tensor(next(iter(load_file(next(folder.rglob("*.safetensors"))).values())))
