"""Sources count wherever a version names none: the package of some code, and the local modules that it uses in turn."""

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from byline.loading.local_sources import local_sources

FILES = {
    "helped/__init__.py": "",
    "helped/model.py": (
        "import helper_ops\nfrom torch import nn\n\n"
        "class Model(nn.Module):\n    def forward(self, x):\n        from helped.later import twice\n"
        "        return helper_ops.scaled(twice(x))\n"
    ),
    "helped/later.py": "def twice(x):\n    return 2 * x\n",
    "helper_ops.py": "from helper_constants import FACTOR\n\ndef scaled(x):\n    return FACTOR * x\n",
    "helper_constants.py": "import numpy\nFACTOR = 3\n",
    "helper_apart.py": "def unused(x):\n    return x\n",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("helper_apart")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("helped", "helper_"))]:
        sys.modules.pop(name)


def model_class() -> Any:
    return importlib.import_module("helped.model").Model


def test_what_a_class_uses_is_found_by_name(place: Path) -> None:
    assert place.is_dir()
    assert set(local_sources([model_class()])) == {"helped", "helper_ops", "helper_constants"}
    assert local_sources([nn.Linear, sorted]) == {}


@pytest.mark.parametrize("name", FILES)
def test_a_change_counts_where_the_code_uses_the_file(place: Path, name: str) -> None:
    before = local_sources([model_class()])
    assert local_sources([model_class()]) == before
    (place / name).write_text((place / name).read_text() + "CHANGED = True\n")
    assert (local_sources([model_class()]) != before) == (name != "helper_apart.py")


@pytest.mark.parametrize(
    "of",
    [
        lambda ops: ops.scaled,
        lambda ops: partial(ops.scaled, 3),
        lambda ops: partial(map, ops.scaled),
        lambda ops: lambda x: ops.scaled(x) + 1,
    ],
)
def test_functions_lead_to_their_modules(place: Path, of: Callable[[ModuleType], object]) -> None:
    assert place.is_dir()
    assert "helper_ops" in local_sources([of(importlib.import_module("helper_ops"))])


def test_methods_lead_to_the_modules_of_their_class(place: Path) -> None:
    assert place.is_dir()
    assert "helped" in local_sources([model_class()().forward])


def test_a_module_that_is_not_found_by_its_name_is_left_out(place: Path) -> None:
    """As those beside a Task's file, which the Task's own digest covers."""
    assert place.is_dir()
    scaled = importlib.import_module("helper_ops").scaled
    sys.modules.pop("helper_ops")
    assert "helper_ops" not in local_sources([scaled])
