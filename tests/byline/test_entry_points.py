"""The public functions: an index from objects in memory, and scores in one call, against float64 autograd."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import byline
from byline.errors import InvalidInput, InvalidQuery, InvalidRecipe, InvalidTask, NotFound

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
