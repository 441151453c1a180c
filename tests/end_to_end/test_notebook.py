"""The notebook of docs/ runs from its first cell to its last, and says what it says on the page."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PAGE = Path(__file__).resolve().parents[2] / "docs" / "quickstart.ipynb"
REPEATABLE = ("scores.shape", "again.scores")
"""Cells with the same output on every machine."""


def outputs(cell: nbformat.NotebookNode, kind: str) -> list[str]:
    return [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[nbformat.NotebookNode, nbformat.NotebookNode]:
    written = nbformat.read(PAGE, as_version=4)
    run = nbformat.read(PAGE, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(run, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    return written, run


def code(page: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in page.cells if cell.cell_type == "code"]


def test_it_says_what_the_page_says(pages: tuple[nbformat.NotebookNode, nbformat.NotebookNode]) -> None:
    compared = 0
    for written, run in zip(code(pages[0]), code(pages[1]), strict=True):
        assert outputs(written, "text/plain"), "run the notebook before it is committed"
        if any(part in written.source for part in REPEATABLE):
            assert outputs(run, "text/plain") == outputs(written, "text/plain")
            compared += 1
    assert compared == len(REPEATABLE)


def test_wrong_labels_are_found(pages: tuple[nbformat.NotebookNode, nbformat.NotebookNode]) -> None:
    (cell,) = [cell for cell in code(pages[1]) if "self_influence" in cell.source]
    assert set(json.loads(outputs(cell, "text/plain")[0])[:5]) == set(range(5))


def test_answers_are_drawn(pages: tuple[nbformat.NotebookNode, nbformat.NotebookNode]) -> None:
    drawn = "".join("".join(outputs(cell, "text/html")) for cell in code(pages[1]))
    assert "Proponents" in drawn
    assert "Owners’ shares" in drawn  # noqa: RUF001
    assert 'class="dataframe"' in drawn


def test_the_page_names_no_folder_of_the_machine_it_was_made_on() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "/tmp" not in text  # noqa: S108
    assert "/home" not in text
    assert "/root" not in text
