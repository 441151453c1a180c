"""Every module class of torch.nn that has parameters: its gradients are autograd's in float64."""

import pytest
from torch import nn

from tests.byline.gradients import torch_modules
from tests.byline.gradients.cases import ModelCase, fault
from tests.byline.gradients.exactness import examine

CASES = torch_modules.cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_gradients_are_those_of_autograd_one_by_one(case: ModelCase) -> None:
    assert not fault(case, examine(case.subject()))


def test_every_class_with_parameters_has_its_forms() -> None:
    known = set(torch_modules.forms()) | set(torch_modules.EXCLUDED)
    assert known <= set(torch_modules.classes())
    new = {n for n, k in torch_modules.classes().items() if torch_modules.may_have_parameters(k)} - known
    assert not new, f"write forms of {sorted(new)} in tests/byline/gradients/torch_modules.py"


def test_a_class_that_is_new_would_be_noticed() -> None:
    assert torch_modules.may_have_parameters(nn.Linear)
    assert torch_modules.may_have_parameters(nn.AdaptiveLogSoftmaxWithLoss)
    assert not torch_modules.may_have_parameters(nn.ReLU)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_a_form_really_has_parameters() -> None:
    for forms in torch_modules.forms().values():
        assert all(list(form.make().parameters()) for form in forms)
