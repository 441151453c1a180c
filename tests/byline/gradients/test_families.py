"""Families of models, and adapters on them: autograd's gradients in float64, padding and all."""

import pytest

from tests.byline.gradients.cases import ModelCase, fault
from tests.byline.gradients.exactness import examine

pytest.importorskip("transformers", reason="the extra `hf` is not installed")
pytest.importorskip("peft", reason="the extra `lora` is not installed")
families = pytest.importorskip("tests.byline.gradients.families")


@pytest.mark.parametrize("case", families.cases(), ids=lambda case: case.name)
def test_gradients_are_those_of_autograd_one_by_one(case: ModelCase) -> None:
    assert not fault(case, examine(case.subject()))


def test_adapters_leave_the_base_frozen() -> None:
    for case in families.cases():
        if "(peft)" in case.kind:
            model = case.subject().model()
            assert any(p.requires_grad for p in model.parameters())
            assert not all(p.requires_grad for p in model.parameters())
