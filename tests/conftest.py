"""Shapes in signatures are checked while tests run, and only then. The service's data goes to a folder of the run."""

import os
import tempfile
from collections.abc import Iterator
from itertools import chain

import pytest
from jaxtyping import install_import_hook

from tests.forks import Forks

install_import_hook("byline.gradients.outer_products.factors", "beartype.beartype")
os.environ["BYLINE_DATA_DIR"] = tempfile.mkdtemp(prefix="byline-tests-")  # never the user's own

SLOW = 20
"""How many other tests take about as long as one that is marked slow."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the longest modules first where several processes share them: the last ones end together."""
    if not hasattr(config, "workerinput"):
        return
    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    items[:] = chain.from_iterable(sorted(modules.values(), key=_length, reverse=True))


def _length(tests: list[pytest.Item]) -> int:
    return sum(SLOW if test.get_closest_marker("slow") else 1 for test in tests)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Runs commands of Python in processes that need not import torch again.

    Yields:
        What starts them.
    """
    made = Forks(tmp_path_factory.mktemp("forks"))
    yield made
    made.end()
