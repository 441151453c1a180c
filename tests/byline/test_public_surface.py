"""The public names: sorted, importable, documented, and the same as on the page."""

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import byline

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def test_the_page_lists_the_public_names() -> None:
    listed = re.findall(r"^\| `byline\.(\w+)` \|", PAGE, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == set(byline.__all__)


def test_names_are_sorted() -> None:
    kinds = [(not name.isupper(), not name[0].isupper(), name) for name in byline.__all__]
    assert kinds == sorted(kinds)
    assert len(byline.__all__) <= 36


@pytest.mark.parametrize("name", byline.__all__)
def test_a_name_is_there_and_says_what_it_is(name: str) -> None:
    found = getattr(byline, name)
    assert found is getattr(byline, name)
    if name != "RECIPES":
        assert inspect.getdoc(found)
    if not isinstance(found, ModuleType) and name != "RECIPES":
        assert found.__name__ == name


def test_private_names_stay_private() -> None:
    assert set(dir(byline)) == {*byline.__all__, "__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", byline.__version__)


@pytest.mark.parametrize("method", re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE))
def test_documented_methods_exist(method: str) -> None:
    assert inspect.getdoc(getattr(byline.Attributor, method))


@pytest.mark.parametrize("function", ["attribute", "build"])
def test_documented_signatures_are_the_real_ones(function: str) -> None:
    written = re.search(rf"`byline\.{function}\((.*?)\)`", PAGE)
    assert written
    real = inspect.signature(getattr(byline, function)).parameters
    names = [part.split("=")[0].strip() for part in written.group(1).split(",") if part.strip() != "*"]
    assert names == list(real)


def test_items_of_different_lengths_are_padded_as_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "collate=" in block]
    torch.manual_seed(0)
    page: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "api.md", "exec"), page)  # noqa: S102  # an example of the documentation
    scores, index, items = page["scores"], page["index"], page["items"]
    assert scores.shape == (2, 30)
    assert scores[0, 0] > 0
    assert scores[1, 1] > 0
    np.testing.assert_allclose(index.item_scores(items[:2], batch=1), scores, rtol=1e-4, atol=1e-5)
    assert sorted(index.expected_gradients()) == ["c0/1.bias", "c0/1.weight"]
