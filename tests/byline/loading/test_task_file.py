"""Tasks and weights are read safely, and what is wrong with them is said."""

import importlib
import pickle
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from byline.errors import InvalidTask, StaleIndex
from byline.loading.task_file import load_task
from byline.models.checkpoints import checkpoint_digests, load_checkpoint, load_weights, pin_checkpoints
from byline.task import Checkpoint
from byline.tasks import LocalModel
from tests.indexer.conftest import TINY
from tests.reference.models import TinyTransformer

SOURCE = """
import torch
from byline.api.example import Example
from byline.task import Checkpoint, Task
from neighbour import WIDTH

def task():
    model = lambda: torch.nn.Linear(WIDTH, 1)
    return Task(name="t", model=model, checkpoints=[Checkpoint(weights=model().state_dict())],
                train_set=[torch.zeros(WIDTH)], describe=lambda i: Example(id=str(i)),
                loss=lambda m, b: m(b)[:, 0])

def nothing():
    return 3

def broken():
    raise KeyError("x")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mytask.py").write_text(SOURCE)
    (tmp_path / "neighbour.py").write_text("WIDTH = 2\n")
    (tmp_path / "syntax.py").write_text("def task(:\n")
    return tmp_path


def test_a_file_and_its_neighbours(folder: Path) -> None:
    loaded = load_task("mytask.py:task", base=folder)
    assert loaded.task.name == "t"
    assert loaded.reference == f"{folder / 'mytask.py'}:task"
    before = loaded.digest
    (folder / "mytask.py").write_text(SOURCE + "\n# changed\n")
    assert load_task("mytask.py:task", base=folder).digest != before


def test_a_neighbour_that_changes_is_another_source(folder: Path) -> None:
    first = load_task("mytask.py:task", base=folder)
    assert load_task("mytask.py:task", base=folder).digest == first.digest
    (folder / "stranger.py").write_text("UNUSED = 1\n")
    assert load_task("mytask.py:task", base=folder).digest == first.digest
    (folder / "neighbour.py").write_text("from deeper.width import WIDTH  # changed\n")
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


def test_neighbours_of_one_name_are_each_tasks_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "mytask.py").write_text(SOURCE)
    (other / "neighbour.py").write_text("WIDTH = 5\n")
    elsewhere = ModuleType("neighbour")
    elsewhere.__file__ = "/elsewhere/neighbour.py"
    monkeypatch.setitem(sys.modules, "neighbour", elsewhere)
    first, second = (load_task("mytask.py:task", base=place) for place in (folder, other))
    assert [loaded.task.train_set[0].shape[0] for loaded in (first, second)] == [2, 5]
    assert [loaded.task.model().in_features for loaded in (first, second)] == [2, 5]
    assert [loaded.modules["neighbour"].WIDTH for loaded in (first, second)] == [2, 5]
    assert sys.modules["neighbour"] is elsewhere
    assert str(folder) not in sys.path


def test_a_package_that_is_imported_already_is_put_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = folder / "aroundit"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "neighbour.py").write_text("WIDTH = 7\n")
    (package / "mytask.py").write_text(SOURCE.replace("from neighbour", "from aroundit.neighbour"))
    monkeypatch.syspath_prepend(folder)
    fresh = load_task("mytask.py:task", base=package)
    assert not [name for name in sys.modules if name.startswith("aroundit")]
    before = importlib.import_module("aroundit.neighbour")
    assert load_task("mytask.py:task", base=package).digest == fresh.digest
    assert sys.modules["aroundit.neighbour"] is before
    assert sys.modules["aroundit"].neighbour is before
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


def test_the_two_file_formats_have_one_digest(tmp_path: Path) -> None:
    weights = nn.Linear(3, 2).state_dict()
    save_file(weights, tmp_path / "a.safetensors")
    torch.save(weights, tmp_path / "a.pt")
    digests = {
        checkpoint_digests(Checkpoint(weights=w)).weights
        for w in (weights, tmp_path / "a.safetensors", tmp_path / "a.pt")
    }
    assert len(digests) == 1
    weights["bias"] = weights["bias"] + 1e-6
    assert checkpoint_digests(Checkpoint(weights=weights)).weights not in digests


def test_code_is_never_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "evil",))

    with (tmp_path / "evil.pt").open("wb") as file:
        pickle.dump({"weight": Evil()}, file)
    torch.save({"weight": Evil()}, tmp_path / "evil2.pt")
    for name in ("evil.pt", "evil2.pt"):
        with pytest.raises(InvalidTask):
            load_weights(Checkpoint(weights=tmp_path / name))
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt"])
def test_garbage_files(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"garbage" * 9)
    with pytest.raises(InvalidTask, match=r"readable|weights"):
        load_weights(Checkpoint(weights=tmp_path / name))
    with pytest.raises(InvalidTask, match="no file"):
        load_weights(Checkpoint(weights=tmp_path / "absent.pt"))


def test_missing_names_and_wrong_shapes() -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(InvalidTask, match=r"1 missing.*'bias'"):
        load_checkpoint(model, Checkpoint(weights={"weight": torch.zeros(2, 3)}))
    with pytest.raises(InvalidTask, match=r"1 unknown"):
        load_checkpoint(model, Checkpoint(weights={**model.state_dict(), "more": torch.zeros(1)}))
    with pytest.raises(InvalidTask, match="shapes"):
        load_checkpoint(model, Checkpoint(weights={"weight": torch.zeros(3, 3), "bias": torch.zeros(2)}))


def test_a_tied_weight_may_be_stored_once() -> None:
    model = TinyTransformer()
    weights = {n: torch.full_like(t, 0.5) for n, t in model.state_dict().items() if n != "head.weight"}
    load_checkpoint(model, Checkpoint(weights=weights))
    assert bool((model.head.weight == 0.5).all())


def test_a_pinned_checkpoint_is_held_to_its_digest_whenever_it_is_loaded(tmp_path: Path) -> None:
    model, file = nn.Linear(3, 2), tmp_path / "a.safetensors"
    save_file(model.state_dict(), file)
    plain = Checkpoint(weights=file)
    held = replace(plain, expected=checkpoint_digests(plain))
    load_checkpoint(model, held)
    save_file({name: tensor + 1 for name, tensor in model.state_dict().items()}, file)
    with pytest.raises(StaleIndex, match=r"weights at .*a\.safetensors changed.*restore"):
        load_checkpoint(model, held)
    load_checkpoint(model, plain)


def test_weights_that_a_task_draws_anew_are_noticed() -> None:
    checkpoint = Checkpoint(weights=nn.Linear(3, 2).state_dict())
    held = replace(checkpoint, expected=checkpoint_digests(checkpoint))
    with pytest.raises(StaleIndex, match="seed what is random"):
        load_checkpoint(nn.Linear(3, 2), replace(held, weights=nn.Linear(3, 2).state_dict()))


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
