"""Fixtures that the test modules of this folder share."""

from pathlib import Path

import pytest

from byline.attribution.attributor import Attributor
from byline_indexer.build.build import build
from byline_indexer.config import load_config

TINY = Path(__file__).parents[2] / "indexer" / "tiny_task.py"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the tiny Task and its index: 2 checkpoints x 2 masks."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "tiny_task.py").write_text(TINY.read_text())
    (folder / "build.toml").write_text(
        'task = "tiny_task.py:task"\n[recipe]\nname = "ekfac"\n[recipe.projection]\nsize = 24\n'
        '[recipe.members]\nmasks = 2\n[index]\npath = "index"\ndtype = "fp32"\n'
    )
    build(load_config(folder / "build.toml"))
    return folder


@pytest.fixture(scope="module")
def attributor(built):
    return Attributor.open(built / "index")
