import re
from collections.abc import Callable
from pathlib import Path

import pytest

from byline.loading.task_file import load_task
from byline.task import Task
from byline_indexer.build.probe import make_plan
from byline_indexer.config import BuildConfig
from byline_indexer.units.plan import BuildPlan

TINY = Path(__file__).with_name("tiny_task.py")

SMALL = {
    "grad_dot": {"projection": {"size": 24}},
    "grad_cos": {"projection": {"size": 24}},
    "trak": {"projection": {"size": 24}},
    "logra": {"projection": {"size_in": 4, "size_out": 4}},
    "kfac": {"projection": {"size": 24}},
    "ekfac": {"projection": {"size": 24}, "members": {"masks": 2}},
    "ekfac_margin": {"projection": {"size": 24}},
    "if_cg": {"projection": {"size": 24}},
    "if_lissa": {"projection": {"size": 24}},
}
"""Every recipe with sizes that fit the tiny Task."""

TaskFile = Callable[..., Path]
Config = Callable[..., BuildConfig]


@pytest.fixture
def task_file(tmp_path: Path) -> TaskFile:
    """Writes the tiny Task with some of its constants changed, always to the same path."""

    def write(**constants: object) -> Path:
        text = TINY.read_text()
        for name, value in constants.items():
            line = next(line for line in text.splitlines() if re.match(rf"{name}(: .*)? = ", line))
            text = text.replace(line, f"{name} = {value!r}")
        path = tmp_path / "tiny_task.py"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Makes a configuration of a build of the tiny Task."""

    def make(
        recipe: str = "ekfac",
        *,
        task: Path = TINY,
        index: str = "index",
        changes: dict[str, object] | None = None,
        storage: dict[str, object] | None = None,
        **build: object,
    ) -> BuildConfig:
        return BuildConfig.model_validate(
            {
                "task": f"{task}:task",
                "recipe": {"name": recipe, **SMALL[recipe], **(changes or {})},
                "index": {"path": tmp_path / index, **(storage or {})},
                "build": {"block_rows": 16, "batch_rows": 8, **build},
            }
        )

    return make


@pytest.fixture
def tiny() -> Task:
    return load_task(f"{TINY}:task").task


@pytest.fixture
def plan(config: Config, tiny: Task, tmp_path: Path) -> BuildPlan:
    return make_plan(config("trak"), tiny, tmp_path / "work")
