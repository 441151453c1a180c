"""The public functions: an index from objects in memory, and scores in one call, against float64 autograd."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import byline
from byline.errors import InvalidInput, InvalidQuery, InvalidRecipe, InvalidTask, NotFound
from byline.groups import GroupOptions

N, Q = 40, 5
GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(N, 4, generator=GENERATOR), torch.randint(0, 3, (N,), generator=GENERATOR)
QUERIES = (torch.randn(Q, 4, generator=GENERATOR), torch.randint(0, 3, (Q,), generator=GENERATOR))
PLAIN = byline.recipe("grad_dot", projection={"kind": "identity"})


def trained() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def gradients(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Gradients of the cross-entropy in float64, one a row."""
    model = model.double()
    rows = []
    for n in range(len(inputs)):
        loss = F.cross_entropy(model(inputs[n : n + 1].double()), labels[n : n + 1])
        found = torch.autograd.grad(loss, list(model.parameters()))
        rows.append(torch.cat([each.flatten() for each in found]))
    return torch.stack(rows)


def expected() -> np.ndarray:
    return (gradients(trained(), *QUERIES) @ gradients(trained(), X, Y).T).numpy()


def close(scores_QN: np.ndarray, tolerance: float = 1e-3) -> bool:
    return bool(np.abs(scores_QN - expected()).max() <= tolerance * np.abs(expected()).max())


def test_one_call_is_the_inner_product_of_gradients() -> None:
    scores_QN = byline.attribute(trained(), (X, Y), QUERIES, loss="cross_entropy", recipe=PLAIN)
    assert scores_QN.shape == (Q, N)
    assert scores_QN.dtype == np.float32
    assert close(scores_QN)


def test_one_call_takes_any_batch_and_any_form_of_data() -> None:
    items = [(X[n], Y[n]) for n in range(N)]
    queries = [(QUERIES[0][q], QUERIES[1][q]) for q in range(Q)]

    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    assert close(byline.attribute(trained(), items, queries, loss=loss, recipe=PLAIN, batch=3))


def test_one_call_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    model = trained()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    byline.attribute(model.train(), (X, Y), QUERIES, loss="cross_entropy")
    assert list(tmp_path.iterdir()) == []
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_build_finds_what_it_built_and_scores_like_one_call(tmp_path: Path) -> None:
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    scores_QN = index.item_scores([(QUERIES[0][q], QUERIES[1][q]) for q in range(Q)])
    assert close(scores_QN)
    payloads = [{"features": QUERIES[0][q].tolist(), "label": str(int(QUERIES[1][q]))} for q in range(Q)]
    np.testing.assert_allclose(index.scores(payloads), scores_QN, rtol=1e-5, atol=1e-7)
    again = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    assert again.index.fingerprint.version == index.index.fingerprint.version
    opened = byline.open(tmp_path / "index", task=task)
    np.testing.assert_array_equal(opened.scores(payloads), index.scores(payloads))


def test_an_index_without_its_task_says_what_it_needs(tmp_path: Path) -> None:
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    built = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    index = byline.open(tmp_path / "index")
    assert len(index.expected_gradients()) == 4
    with pytest.raises(InvalidQuery, match=r"byline\.open\(path, task=task\)"):
        index.scores([(X[0], Y[0])])
    answer = built.attribute({"features": X[0].tolist()}, k=2)
    assert answer.proponents is not None
    assert len(answer.proponents) == 2


def test_a_bar_is_shown_unless_it_is_not_wanted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    byline.build(task, PLAIN, tmp_path / "silent", progress=False)
    assert capfd.readouterr() == ("", "")
    byline.build(task, PLAIN, tmp_path / "told")
    assert "write vectors: 40 done" in capfd.readouterr().err


def test_an_index_shows_itself(tmp_path: Path) -> None:
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy", name="iris")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    assert repr(index).startswith("<byline.Attributor 'iris': version ")
    assert "recipe grad_dot, training points 40" in repr(index)
    assert "grad_dot" in index._repr_html_()


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    with pytest.raises(InvalidRecipe):
        byline.build(task, "magic", tmp_path / "index", progress=False)
    with pytest.raises(NotFound):
        byline.open(tmp_path / "nothing")
    with pytest.raises(InvalidTask):
        byline.attribute(trained(), (X, Y[:3]), QUERIES, loss="cross_entropy")
    with pytest.raises(InvalidInput):
        byline.build(task, PLAIN, "https://example.org/index", progress=False)
    with pytest.raises(InvalidTask):
        byline.build("nowhere.py:task", PLAIN, tmp_path / "index", progress=False)


def test_a_task_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mytask.py").write_text(
        "import torch\nfrom torch import nn\nimport byline\n\n"
        "def task():\n"
        "    torch.manual_seed(1)\n"
        "    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))\n"
        "    data = torch.load(__file__.replace('mytask.py', 'data.pt'), weights_only=True)\n"
        "    return byline.tasks.from_model(model, tuple(data), loss='cross_entropy')\n"
    )
    torch.save([X, Y], tmp_path / "data.pt")
    index = byline.build(f"{tmp_path / 'mytask.py'}:task", PLAIN, tmp_path / "index", progress=False)
    assert close(index.item_scores([(QUERIES[0][q], QUERIES[1][q]) for q in range(Q)]))
    assert byline.open(tmp_path / "index").task is not None


def test_import_is_fast_and_loads_neither_torch_nor_an_application() -> None:
    code = (
        "import sys, time; start = time.process_time(); import byline; seconds = time.process_time() - start; "
        "heavy = {'torch', 'numpy', 'faiss', 'pydantic', 'byline_indexer', 'byline_service'} & set(sys.modules); "
        "print(seconds); assert not heavy, heavy; assert 'attribute' in dir(byline)"
    )
    best = min(
        float(
            subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, env=os.environ
            ).stdout
        )
        for _ in range(3)
    )
    assert best < 0.05


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"byline\.__all__"):
        byline.atribute  # type: ignore[attr-defined]  # noqa: B018


def regression_gradients(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Gradients of the squared error in float64, one a row."""
    model, rows = model.double(), []
    for n in range(len(inputs)):
        loss = ((model(inputs[n].double()) - labels[n].double()) ** 2).sum()
        rows.append(
            torch.cat([each.flatten() for each in torch.autograd.grad(loss, list(model.parameters()))])
        )
    return torch.stack(rows)


def line() -> nn.Module:
    torch.manual_seed(2)
    return nn.Linear(4, 1)


def test_a_regression_with_labels_in_a_column_is_the_one_without() -> None:
    numbers, asked = X[:, :1].sin(), QUERIES[0][:, :1].cos()
    truth = (
        regression_gradients(line(), QUERIES[0], asked) @ regression_gradients(line(), X, numbers).T
    ).numpy()
    for shape in ((-1, 1), (-1,)):
        scores_QN = byline.attribute(
            line(),
            (X, numbers.reshape(shape)),
            (QUERIES[0], asked.reshape(shape)),
            loss="mse",
            recipe=PLAIN,
        )
        assert np.abs(scores_QN - truth).max() <= 1e-3 * np.abs(truth).max()
    assert byline.attribute(line(), (X, numbers), (X[:2], numbers[:2]), loss="mse").shape == (2, N)


def test_arrays_are_tensors(tmp_path: Path) -> None:
    data = (X.numpy().astype(np.float64), Y.numpy())
    asked = (QUERIES[0].numpy().astype(np.float64), QUERIES[1].numpy())
    assert close(byline.attribute(trained(), data, asked, loss="cross_entropy", recipe=PLAIN))
    task = byline.tasks.from_model(trained(), data, loss="cross_entropy")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    assert close(index.scores(asked))
    assert close(index.scores(QUERIES))
    assert close(index.item_scores(QUERIES, batch=2))
    double = byline.attribute(
        trained().double(), data, asked, loss="cross_entropy", recipe=PLAIN
    )  # keeps the model's precision
    assert close(double)


@pytest.mark.parametrize("batch", [0, -1, 2.5, "8", True])
def test_a_batch_has_items(batch: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected batch to be a whole number of 1 or more"):
        byline.attribute(trained(), (X, Y), QUERIES, loss="cross_entropy", batch=batch)
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    for queries in (QUERIES, [{"features": [0.0] * 4}]):
        with pytest.raises(InvalidInput, match="expected batch to be a whole number of 1 or more"):
            index.scores(queries, batch=batch)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"task": trained()}, InvalidTask, r"got a Sequential: byline\.tasks\.from_model"),
        ({"task": None}, InvalidTask, r"expected a byline\.Task.*got a NoneType"),
        ({"recipe": 3}, InvalidRecipe, r"byline\.recipe\(name, \.\.\.\)"),
        ({"options": {"batch_rows": 4}}, InvalidInput, r"got a dict: pass byline\.BuildOptions\("),
        ({"path": None}, InvalidInput, r"expected path to be a path.*got NoneType"),
    ],
)
def test_a_build_of_something_else_is_refused(
    change: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    given: dict[str, Any] = {"task": task, "recipe": PLAIN, "path": tmp_path / "index", "options": None}
    with pytest.raises(error, match=message):
        byline.build(**given | change, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_an_index_of_no_path_or_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"expected path to be a path.*got NoneType"):
        byline.open(None)  # type: ignore[arg-type]
    with pytest.raises(InvalidTask, match=r"expected task to be a byline\.Task, got a Sequential"):
        byline.open(tmp_path, task=trained())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ((X[:2],), "inputs and labels.*a tuple of 1"),
        (X[:2], "a sequence of 2 parts, got a Tensor"),
        (DataLoader(TensorDataset(X, Y)), "expected queries to be sized.*without a loader"),
    ],
)
def test_queries_without_labels_are_refused(queries: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidTask, match=message):
        byline.attribute(trained(), (X, Y), queries, loss="cross_entropy", recipe=PLAIN)
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    with pytest.raises(InvalidQuery, match=message):
        index.scores(queries)
    with pytest.raises(InvalidQuery, match=r"put it into a list, \[query\]"):
        index.scores({"features": [0.0] * 4})


def test_a_baseline_is_fitted_when_it_is_first_asked_for(tmp_path: Path) -> None:
    linear = nn.Sequential(nn.Linear(4, 3))
    task = byline.tasks.from_model(linear, (X, Y), loss="cross_entropy")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    answer = index.attribute({"features": QUERIES[0][0].tolist()}, k=N, baseline="representation")
    assert answer.proponents is not None
    cosines_N = F.cosine_similarity(QUERIES[0][:1].double(), X.double())
    best = [point.score for point in answer.proponents]
    np.testing.assert_allclose(best, cosines_N.sort(descending=True).values, atol=1e-6)
    with pytest.raises(InvalidQuery, match="cannot answer by the baseline bm25"):
        index.attribute({"features": QUERIES[0][0].tolist()}, baseline="bm25")


def test_options_take_mappings(tmp_path: Path) -> None:
    assert byline.BuildOptions(groups={"by": "owner"}).groups == GroupOptions(by="owner")
    examples = [byline.Example(id=str(n), owner=f"owner {n % 3}") for n in range(N)]
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy", examples=examples)
    options = byline.BuildOptions(groups={"by": "owner"}, storage={"dtype": "fp32"})
    scores_QG = byline.build(task, PLAIN, tmp_path / "index", options, progress=False).scores(QUERIES)
    sums_QG = np.stack([expected()[:, n::3].sum(axis=1) for n in range(3)], axis=1)
    assert scores_QG.shape == (Q, 3)
    assert np.abs(np.sort(scores_QG) - np.sort(sums_QG)).max() <= 1e-3 * np.abs(sums_QG).max()


def test_one_call_keeps_small_gradients() -> None:
    """Rows that fit well have gradients far below what half precision can hold beside the others."""

    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return batch[1] * model(batch[0])[:, 0]

    weights_N = torch.logspace(-16, 0, N)
    scores_QN = byline.attribute(
        nn.Linear(4, 1), (X, weights_N), (QUERIES[0], torch.ones(Q)), loss=loss, recipe=PLAIN
    )
    inputs_N = torch.cat([X, torch.ones(N, 1)], dim=1).double()
    inputs_Q = torch.cat([QUERIES[0], torch.ones(Q, 1)], dim=1).double()
    want_QN = (inputs_Q @ inputs_N.T * weights_N.double()).numpy()
    np.testing.assert_array_less(
        np.abs(scores_QN - want_QN), np.broadcast_to(1e-4 * np.linalg.norm(want_QN, axis=0), (Q, N))
    )


def test_a_regression_query_without_a_label_is_attributed_by_its_prediction(tmp_path: Path) -> None:
    model = nn.Linear(4, 1)
    task = byline.tasks.from_model(model, (X, torch.randn(N, generator=GENERATOR)), loss="mse")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    vector = QUERIES[0][0].tolist()
    open_query = index.attribute({"features": vector}, k=N)
    assert open_query.target == "prediction"
    named = index.attribute({"features": vector}, k=N, target="prediction")
    assert open_query.proponents == named.proponents
    assert open_query.proponents[0].score > 0
    assert index.attribute({"features": vector}, k=2, target="loss").target == "loss"
    assert index.attribute({"features": vector, "label": 0.5}, k=2).target == "loss"
    np.testing.assert_allclose(
        index.scores([{"features": vector}, {"features": vector, "label": 0.5}])[0],
        index.scores([{"features": vector}], target="prediction")[0],
        rtol=1e-5,
    )
    whole = byline.AttributionRequest(query_set=({"features": vector}, {"features": vector, "label": 0.5}))
    assert index.attribute(whole).target == "prediction"


@pytest.mark.parametrize(
    ("recipe", "target"), [("trak", "margin"), ("rps", "logit"), ("ekfac_margin", "margin")]
)
def test_a_recipe_of_a_target_needs_the_target(recipe: str, target: str) -> None:
    with pytest.raises(InvalidTask, match=rf"recipe '{recipe}' needs the target '{target}'.* 'ekfac'"):
        byline.attribute(nn.Linear(4, 1), (X, X[:, 0]), (X[:2], X[:2, 0]), loss="mse", recipe=recipe)


@pytest.mark.parametrize("inputs", [X, X.reshape(N, 2, 2)])
def test_a_recipe_of_margins_takes_inputs_of_any_kind(inputs: Tensor) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    scores_QN = byline.attribute(
        model, (inputs, Y), (inputs[:Q], Y[:Q]), loss="cross_entropy", recipe="ekfac_margin"
    )
    assert scores_QN[range(Q), range(Q)].min() > 0


def test_a_loss_that_uses_another_model_is_refused() -> None:
    outer = trained()

    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        return F.cross_entropy(outer(batch[0]), batch[1], reduction="none")

    with pytest.raises(byline.UnsupportedModel, match="the model that they are called with"):
        byline.attribute(outer, (X, Y), QUERIES, loss=loss, recipe=PLAIN)


def test_an_index_that_takes_no_payloads_names_what_it_takes(tmp_path: Path) -> None:
    grids = X.reshape(N, 2, 2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    task = byline.tasks.from_model(model, (grids, Y), loss="cross_entropy")
    index = byline.build(task, PLAIN, tmp_path / "index", progress=False)
    with pytest.raises(InvalidQuery, match=r"index\.item_scores\(items\)"):
        index.attribute({"features": [1, 2, 3, 4]})
    with pytest.raises(InvalidQuery, match=r"payloads or items: byline\.open\(path, task=task\)"):
        byline.open(tmp_path / "index").scores([{"features": [1, 2, 3, 4]}])


def test_a_mistake_in_the_data_or_the_loss_is_no_matter_of_layers() -> None:
    def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
        raise KeyError("labels")

    with pytest.raises(
        byline.UnsupportedModel, match=r"^row 0 .*KeyError: 'labels'[^;]*$|KeyError: 'labels'$"
    ):
        byline.attribute(trained(), (X, Y), QUERIES, loss=loss, recipe=PLAIN)
    wide = (torch.randn(N, 7), Y)
    with pytest.raises(byline.UnsupportedModel) as raised:
        byline.attribute(trained(), wide, (wide[0][:2], Y[:2]), loss="cross_entropy", recipe=PLAIN)
    assert "Task.layers" not in str(raised.value)
    assert "module '0' raised RuntimeError" in str(raised.value)


def test_options_and_recipes_that_are_none_are_one_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"^BuildOptions.worker: unknown field, did you mean 'workers'\?$"):
        byline.BuildOptions(worker=2)  # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match=r"^BuildOptions.fast: unknown field, expected .*batch_rows"):
        byline.BuildOptions(fast=True)  # type: ignore[call-arg]
    with pytest.raises(InvalidRecipe, match="expected one of the recipes"):
        byline.recipe([])  # type: ignore[arg-type]
    task = byline.tasks.from_model(trained(), (X, Y), loss="cross_entropy")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "index"):
        with pytest.raises(InvalidInput, match="expected path to be a folder for the index, got a file"):
            byline.build(task, PLAIN, path, progress=False)
    with pytest.raises(InvalidInput, match="got an empty one"):
        byline.build(task, PLAIN, "", progress=False)


def test_a_compiled_model_is_refused() -> None:
    with pytest.warns(DeprecationWarning, match=r"torch\.jit"):
        scripted = torch.jit.script(nn.Linear(4, 3))
    with pytest.raises(byline.UnsupportedModel, match=r"torch\.jit.* build the original model"):
        byline.attribute(scripted, (X, Y), QUERIES, loss="cross_entropy")


def test_queries_of_another_width_are_refused_in_one_line() -> None:
    with pytest.raises(
        InvalidQuery, match=r"queries 1 to 5 on which the model or its loss raised RuntimeError"
    ):
        byline.attribute(
            trained(), (X, Y), (QUERIES[0][:, :3], QUERIES[1]), loss="cross_entropy", recipe=PLAIN
        )
