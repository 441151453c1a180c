"""Families of models, and adapters on them: autograd's gradients in float64, padding and all."""

import pytest
import torch

from tests.byline.gradients.cases import ModelCase, fault
from tests.byline.gradients.exactness import default_dtype, examine, in_float64

pytest.importorskip("transformers", reason="the extra `hf` is not installed")
pytest.importorskip("peft", reason="the extra `lora` is not installed")
families = pytest.importorskip("tests.byline.gradients.families")


@pytest.mark.parametrize("case", families.cases(), ids=lambda case: case.name)
def test_gradients_are_those_of_autograd_one_by_one(case: ModelCase) -> None:
    assert not fault(case, examine(case.subject()))


@pytest.mark.parametrize("case", families.in_any_precision(), ids=lambda case: case.name)
def test_double_precision_has_its_own_accuracy(case: ModelCase) -> None:
    with default_dtype(torch.float64):
        assert not fault(case, examine(in_float64(case.subject())))


def test_adapters_leave_the_base_frozen() -> None:
    for case in families.cases():
        if "(peft)" in case.kind:
            model = case.subject().model()
            assert any(p.requires_grad for p in model.parameters())
            assert not all(p.requires_grad for p in model.parameters())
