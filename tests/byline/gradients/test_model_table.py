"""docs/tasks.md: the table of models has a row for every kind that is tested, and no error above the bound."""

import pytest

from tests.byline.gradients.cases import ModelCase
from tests.byline.gradients.exactness import TOLERANCE
from tests.system.model_table import BEGIN, END, PAGE, Row, joined, number, written


@pytest.fixture(scope="module")
def cases() -> list[ModelCase]:
    pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    pytest.importorskip("peft", reason="the extra `lora` is not installed")
    from tests.system.model_table import all_cases

    return all_cases()


def table() -> dict[str, list[str]]:
    part = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.strip().splitlines()[2:]]
    return {row[0]: row[1:] for row in cells}


def test_every_kind_has_its_row(cases: list[ModelCase]) -> None:
    assert set(table()) == {case.kind for case in cases}


def test_a_row_names_what_is_tested(cases: list[ModelCase]) -> None:
    for kind, (exact, _, _, refused) in table().items():
        for case in cases:
            if case.kind == kind:
                assert joined([case.form]).split(": ")[-1] in exact + refused, case.name


def test_no_error_is_above_the_bound() -> None:
    for kind, (exact, _, error, _) in table().items():
        if exact:
            bound = 0.1 if "bfloat16" in exact else TOLERANCE
            assert float(error) <= bound, kind


def test_what_is_refused_has_its_reason(cases: list[ModelCase]) -> None:
    assert all(case.reason for case in cases if case.expected != "exact")


def test_the_table_is_written_between_its_markers() -> None:
    page = f"before {BEGIN} old {END} after"
    row = Row("`nn.X`", exact=["alone, one", "in a small model, one"], passes={"batch"}, error=1.6e-7)
    new = written(page, [row])
    assert new.startswith("before ")
    assert new.endswith(" after")
    assert "| `nn.X` | alone and in a small model: one | a batch | 2e-7 |  |" in new
    assert written(new, [row]) == new


@pytest.mark.parametrize(
    ("error", "text"), [(0.0, "0"), (2.34e-7, "2e-7"), (9.6e-4, "1e-3"), (0.012, "1e-2")]
)
def test_errors_have_one_digit(error: float, text: str) -> None:
    assert number(error) == text
