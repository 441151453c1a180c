"""A build file of the Task that trains, in a folder as a user has it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from byline.recipes import recipe
from byline_indexer.config import BuildConfig, load_config
from byline_indexer.evaluation.options import EvaluationOptions

SOURCE = Path(__file__).with_name("trainable_task.py")
BUILD_FILE = """
task = "trainable_task.py:task"

[recipe]
name = "if_exact"
curvature.damping = 0.05

[index]
path = "index"
"""


@pytest.fixture
def build_file(tmp_path: Path) -> Path:
    shutil.copy(SOURCE, tmp_path / SOURCE.name)
    (tmp_path / "trainable.toml").write_text(BUILD_FILE)
    return tmp_path / "trainable.toml"


@pytest.fixture
def config(build_file: Path) -> BuildConfig:
    return load_config(build_file)


@pytest.fixture
def options(tmp_path: Path) -> EvaluationOptions:
    return EvaluationOptions(out=tmp_path / "out", subsets=12, tuning=4)


@pytest.fixture
def trainings(tmp_path: Path) -> Callable[[], list[str]]:
    """Gives a line for each training so far: rows and seed."""

    def read() -> list[str]:
        log = tmp_path / "trained.log"
        return log.read_text().splitlines() if log.exists() else []

    return read


@pytest.fixture
def kfac_config(build_file: Path) -> BuildConfig:
    """The same build with a curvature that tuning can choose the damping of."""
    chosen = recipe("kfac", projection={"size": 8}, curvature={"damping": 0.05})
    return load_config(build_file).model_copy(update={"recipe": chosen})
