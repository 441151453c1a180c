"""Building from Python: the same index as from a file, found again by the same call, and another one after a change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from byline.api.example import Example
from byline.attribution.attributor import Attributor
from byline.attribution.request import AttributionRequest
from byline.errors import BuildFailed, InvalidInput, InvalidQuery, InvalidRecipe, InvalidTask, StaleIndex
from byline.groups import GroupOptions
from byline.index.index import AttributionIndex
from byline.index.layout import StorageOptions
from byline.recipes import recipe
from byline.task import Checkpoint, Task
from byline_indexer.build.index import BuildOptions, build_index, seeded
from byline_indexer.scores import score_items, write_scores
from tests.indexer.build.test_build import Recorder, contents
from tests.indexer.conftest import TINY, Config
from tests.reference import reference

EXACT = recipe("grad_dot", projection={"kind": "identity"})
SMALL = BuildOptions(block_rows=16, batch_rows=8, storage=StorageOptions(dtype="fp32"))


def declared(scale: float = 1.0, shift: float = 0.0, weight: float = 0.5) -> Task:
    """A regression that is declared in memory, with a scale that its loss closes over."""
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(40, 5, generator=generator), torch.randn(40, generator=generator)
    inputs[7, 0] += shift

    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return scale * (model(batch[0])[:, 0] - batch[1]).square()

    return Task(
        name="in-memory",
        model=lambda: nn.Linear(5, 1),
        checkpoints=[Checkpoint(weights={"weight": torch.full((1, 5), weight), "bias": torch.zeros(1)})],
        train_set=[(x, y) for x, y in zip(inputs, labels, strict=True)],
        describe=lambda row: Example(id=f"row-{row}", owner=f"owner-{row % 3}"),
        loss=loss,
    )


def test_scores_of_a_task_in_memory_are_those_of_float64_autograd(tmp_path: Path) -> None:
    task = declared()
    index = AttributionIndex.open(build_index(task, EXACT, tmp_path / "index", SMALL))
    items = [task.train_set[row] for row in range(40)]
    model = nn.Linear(5, 1).double()
    model.load_state_dict({"weight": torch.full((1, 5), 0.5), "bias": torch.zeros(1)})
    gradients_NP = []
    for x, y in items:
        loss = (model(x.double())[0] - y.double()).square()
        parts = torch.autograd.grad(loss, list(model.parameters()))
        gradients_NP.append(torch.cat([part.flatten() for part in parts]).numpy())
    expected = np.stack(gradients_NP)[:4] @ np.stack(gradients_NP).T
    found = score_items(index, task, items[:4], "loss")
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_curved_scores_of_a_task_in_memory_are_the_dense_formula(tmp_path: Path, tiny: Task) -> None:
    chosen = recipe("if_exact", curvature={"damping": 0.3, "labels": "given"}, members={"checkpoints": [0]})
    index = AttributionIndex.open(build_index(tiny, chosen, tmp_path / "index", SMALL))
    items = [tiny.train_set[row] for row in range(90)]
    weights = dict(tiny.checkpoints[0].weights)  # type: ignore[arg-type]

    def rows(of: list[object]) -> np.ndarray:
        model = tiny.model().double().eval()
        model.load_state_dict({name: tensor.double() for name, tensor in weights.items()})
        found = []
        for x, y in of:  # type: ignore[misc]
            loss = tiny.loss(model, [x.double()[None], torch.tensor([y])])[0]
            parts = torch.autograd.grad(loss, list(model.parameters()))
            found.append(torch.cat([part.flatten() for part in parts]).numpy())
        return np.stack(found)

    train_NP = rows(items)
    matrix = reference.damped(train_NP.T @ train_NP / 90, 0.3)
    expected = rows(items[:3]) @ np.linalg.solve(matrix, train_NP.T)
    found = score_items(index, tiny, items[:3], "loss")
    assert np.abs(found - expected).max() <= 2e-4 * np.abs(expected).max()


def test_a_task_in_memory_and_the_same_in_a_file_give_the_same_vectors(tmp_path: Path, tiny: Task) -> None:
    in_memory = build_index(tiny, "grad_dot", tmp_path / "memory", SMALL)
    from_file = build_index(f"{TINY}:task", "grad_dot", tmp_path / "file", SMALL)
    first, second = contents(in_memory), contents(from_file)
    assert {name for name in first if first[name] != second[name]} == {"manifest.json"}


def test_the_same_call_finds_the_published_version_and_runs_no_model(tmp_path: Path) -> None:
    first = build_index(declared(), EXACT, tmp_path / "index", SMALL)
    recorder = Recorder()
    assert build_index(declared(), EXACT, tmp_path / "index", SMALL, recorder) == first
    assert recorder.seen == ["read training set", "verify"]


@pytest.mark.parametrize(
    "change", [{"scale": 2.0}, {"shift": 1e-3}, {"weight": 0.25}], ids=["loss", "data", "weights"]
)
def test_a_changed_loss_point_or_weight_makes_a_new_version(tmp_path: Path, change: dict[str, float]) -> None:
    first = build_index(declared(), EXACT, tmp_path / "index", SMALL)
    again = build_index(declared(**change), EXACT, tmp_path / "index", SMALL)
    assert again != first
    assert (tmp_path / "index" / "current").read_text().strip() == again.name


class Stopping:
    """Stops a build once some units are finished, and remembers what it was told."""

    def __init__(self, phase: str = "", after: int = 0) -> None:
        self.phase, self.after, self.messages = phase, after, list[str]()

    def progress(self, phase: str, done: int, total: int) -> None:
        if phase == self.phase and done >= self.after:
            raise KeyboardInterrupt

    def message(self, message: str) -> None:
        self.messages.append(message)


def test_an_interrupted_build_goes_on_to_the_same_bytes(tmp_path: Path, tiny: Task) -> None:
    whole = build_index(tiny, "grad_dot", tmp_path / "whole", SMALL)
    with pytest.raises(KeyboardInterrupt):
        build_index(tiny, "grad_dot", tmp_path / "index", SMALL, Stopping("emit", 48))
    going_on = Stopping()
    resumed = build_index(tiny, "grad_dot", tmp_path / "index", SMALL, going_on)
    assert any("going on with it" in message for message in going_on.messages)
    assert contents(resumed) == contents(whole)


def test_several_workers_are_refused_for_a_task_in_memory(tmp_path: Path) -> None:
    several = SMALL.model_copy(update={"workers": 2})
    with pytest.raises(InvalidInput, match=r"workers = 1 for a Task in memory, got 2.*'file.py:function'"):
        build_index(declared(), EXACT, tmp_path / "index", several)
    assert build_index(f"{TINY}:task", "grad_dot", tmp_path / "index", several).is_dir()


def test_an_index_of_a_task_in_memory_answers_without_it_what_needs_no_task(
    tmp_path: Path, tiny: Task
) -> None:
    path = build_index(tiny, EXACT, tmp_path / "index", SMALL)
    bare, whole = Attributor.open(path.parent), Attributor.open(path.parent, task=tiny)
    query = AttributionRequest(query={"x": [0.1] * 6, "label": 1}, k=3)
    answer = whole.attribute(query)
    gradients = {name: torch.zeros(shape) + 0.1 for name, shape in bare.expected_gradients().items()}
    by_gradient = AttributionRequest(gradient=gradients, k=3)
    assert bare.attribute(by_gradient).proponents == whole.attribute(by_gradient).proponents
    by_feature = AttributionRequest(feature=np.ones(bare.index.width), k=3)
    assert bare.attribute(by_feature).proponents == whole.attribute(by_feature).proponents
    assert len(answer.proponents or ()) == 3
    with pytest.raises(InvalidQuery, match=r"opened without its Task.*pass the object.*task="):
        bare.attribute(query)


def test_a_task_with_other_weights_is_refused_when_the_index_is_opened(tmp_path: Path) -> None:
    path = build_index(declared(), EXACT, tmp_path / "index", SMALL)
    with pytest.raises(StaleIndex, match="weights"):
        Attributor.open(path, task=declared(weight=0.75))


def test_a_task_with_another_loss_is_refused_when_the_index_is_opened(tmp_path: Path) -> None:
    path = build_index(declared(), EXACT, tmp_path / "index", SMALL)
    assert Attributor.open(path, task=declared()).task is not None
    for other in (declared(scale=7.0), replace(declared(), model=lambda: nn.Sequential(nn.Linear(5, 1)))):
        with pytest.raises(StaleIndex, match=r"'in-memory'.*another model, loss.*rebuild"):
            Attributor.open(path, task=other)


def test_a_task_in_memory_may_open_an_index_of_a_file(tmp_path: Path, tiny: Task) -> None:
    path = build_index(f"{TINY}:task", "grad_dot", tmp_path / "index", SMALL)
    assert Attributor.open(path, task=tiny).task is not None


def test_commands_that_load_the_task_say_that_it_is_in_memory(tmp_path: Path) -> None:
    path = build_index(declared(), EXACT, tmp_path / "index", SMALL)
    with pytest.raises(InvalidTask, match="from the Task 'in-memory' in memory, which no file declares"):
        write_scores(path, [AttributionRequest(query={})], tmp_path / "scores.npy")


def test_groups_and_seed_reach_the_build(tmp_path: Path, tiny: Task) -> None:
    options = SMALL.model_copy(update={"groups": GroupOptions(by="random", size=9), "seed": 3})
    index = AttributionIndex.open(build_index(tiny, "grad_dot", tmp_path / "index", options))
    assert (index.rows, index.points) == (10, 90)
    assert index.manifest.groups is not None
    assert index.manifest.groups.options.seed == 3
    assert index.recipe.projection.seed == 3  # type: ignore[union-attr]


def test_a_seed_changes_what_is_random_and_nothing_else() -> None:
    assert seeded(EXACT, 5) == EXACT
    masked = recipe("trak", members={"masks": 2})
    assert seeded(masked, 5).members.mask_seed == 5
    assert seeded(masked, 0) == masked


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda path: build_index(declared(), "nonsense", path),
            InvalidRecipe,
            "expected one of the recipes",
        ),
        (lambda path: build_index("task.py", EXACT, path), InvalidTask, "file.py:function"),
        (
            lambda path: build_index(
                declared(), "grad_cos", path, BuildOptions(groups=GroupOptions(by="owner"))
            ),
            InvalidInput,
            "unit_norm",
        ),
    ],
)
def test_wrong_arguments_are_told(
    tmp_path: Path, call: Callable[[Path], Path], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        call(tmp_path / "index")


def test_points_that_change_while_they_are_read_fail_the_build(tmp_path: Path, config: Config) -> None:
    task = declared()

    class Drifting(list):  # type: ignore[type-arg]
        readings = 0

        def __getitem__(self, row: int) -> object:  # type: ignore[override]
            self.readings += 1
            x, y = super().__getitem__(row)
            return (x + (1.0 if self.readings > 100 else 0.0), y)

    with pytest.raises((BuildFailed, InvalidTask), match="changed during the build"):
        build_index(replace(task, train_set=Drifting(task.train_set)), EXACT, tmp_path / "index", SMALL)
