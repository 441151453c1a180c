"""Parameters, batches and modules used in unusual ways: autograd's gradients in float64, or a refusal."""

import pytest

from tests.byline.gradients import structures
from tests.byline.gradients.cases import ModelCase, fault
from tests.byline.gradients.exactness import examine


@pytest.mark.parametrize("case", structures.cases(), ids=lambda case: case.name)
def test_gradients_are_those_of_autograd_one_by_one(case: ModelCase) -> None:
    assert not fault(case, examine(case.subject()))
