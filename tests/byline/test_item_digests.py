"""Digests of training items depend on their content alone."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from byline.digests import content_digest
from byline.errors import InvalidTask

ITEM = """{"text": np.array(["one", ["two", 3.5], None], dtype=object), "x": torch.arange(6).bfloat16(),
    "pairs": np.array([(1, "a")], dtype=[("n", "i4"), ("o", "O")])}"""


def test_another_process_gives_the_same_digest() -> None:
    code = (
        "import numpy as np, torch\nfrom byline.digests import content_digest\n"
        f"junk = [object() for _ in range(999)]\nprint(content_digest({ITEM}).hex())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == content_digest(eval(ITEM)).hex()  # noqa: S307 - the constant above


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.array(["a", "b"], dtype=object), np.array(["a", "c"], dtype=object)),
        (np.array([["a", "b"]], dtype=object), np.array(["a", "b"], dtype=object)),
        (torch.tensor([1.0, 2.0]).bfloat16(), torch.tensor([1.0, 2.5]).bfloat16()),
        (torch.zeros(2, 1).bfloat16(), torch.zeros(1, 2).bfloat16()),
        (torch.tensor(1.0).bfloat16(), torch.tensor(2.0).bfloat16()),
        (torch.tensor(1.0), torch.tensor(1.0).bfloat16()),
        (torch.tensor([1 + 2j]), torch.tensor([1 + 2j]).conj()),
    ],
)
def test_other_content_has_another_digest(one: Any, other: Any) -> None:
    assert content_digest(one) != content_digest(other)


def test_content_that_is_not_defined() -> None:
    for item in (object(), np.array([object()], dtype=object), [{1}]):
        with pytest.raises(InvalidTask):
            content_digest(item)
