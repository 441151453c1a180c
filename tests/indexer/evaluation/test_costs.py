"""Costs are measured on the directory, and a budget limits each of them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from byline.index.layout import StorageOptions
from byline_indexer.evaluation.costs import Budget, Cost, disk_bytes, pareto


def test_bytes_of_a_directory(tmp_path: Path) -> None:
    for name, size in {
        "vectors/00000.npy": 100, "search.faiss": 60, "columns/row_weights.npy": 40, "curvature/c0.safetensors": 1000,
        "manifest.json": 7,
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(size))
    assert disk_bytes(tmp_path, rows=10) == (20.0, 1207)


def test_a_budget_limits_each_cost() -> None:
    cost = Cost(row_bytes=100.0, total_bytes=5000, milliseconds=3.0)
    assert Budget().allows(cost)
    assert Budget(row_bytes=100, total_bytes=5000, milliseconds=3.0).allows(cost)
    for tight in (Budget(row_bytes=99), Budget(total_bytes=4999), Budget(milliseconds=2.9)):
        assert not tight.allows(cost)


def test_numbers_that_a_row_has_room_for() -> None:
    budget = Budget(row_bytes=4 * 512 + 24)
    assert budget.numbers(StorageOptions()) == 512
    assert budget.numbers(StorageOptions(keep="codes")) == 1024
    assert budget.numbers(StorageOptions(dtype="fp32")) == 256
    assert Budget(row_bytes=1).numbers(StorageOptions()) == 1
    assert Budget(milliseconds=1).numbers(StorageOptions()) is None


def test_what_nothing_else_beats() -> None:
    costs = [Cost(10, 0, 1.0), Cost(10, 0, 2.0), Cost(20, 0, 2.0), Cost(5, 0, 9.0), Cost(10, 0, 1.0)]
    assert pareto(costs, [0.5, 0.5, 0.6, 0.1, 0.5]) == [True, False, True, True, True]


@pytest.mark.parametrize("wrong", [{"row_bytes": 0}, {"milliseconds": 0}, {"rows": 1}])
def test_a_budget_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate(wrong)
