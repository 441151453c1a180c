"""Gradients of a wrapped model are understood, and others are refused by name."""

import pytest
import torch

from byline.errors import InvalidQuery
from byline.features.gradient_names import checked_gradients

EXPECTED = {
    "c0/h.0.lora_A.default.weight": (2, 3),
    "c0/h.0.lora_B.default.weight": (3, 2),
    "c1/h.0.lora_A.default.weight": (2, 3),
    "c1/h.0.lora_B.default.weight": (3, 2),
}


@pytest.mark.parametrize(
    "prefix", ["", "base_model.model.", "module.", "_orig_mod.", "module.base_model.model."]
)
@pytest.mark.parametrize("adapter", ["", ".default"])
def test_prefixes_and_the_adapters_name(prefix: str, adapter: str) -> None:
    given = {}
    for name, shape in EXPECTED.items():
        member, _, own = name.partition("/")
        given[f"{member}/{prefix}{own.replace('.default', adapter)}"] = torch.randn(shape)
    found = checked_gradients(given, EXPECTED)
    assert found.keys() == EXPECTED.keys()
    assert all(torch.equal(a, b) for a, b in zip(found.values(), given.values(), strict=True))


def test_others_are_refused() -> None:
    good = {name: torch.zeros(shape) for name, shape in EXPECTED.items()}
    lacking = {f"c0/base_model.model.{name[3:]}": tensor for name, tensor in list(good.items())[:2]}
    with pytest.raises(InvalidQuery, match=r"expected 4 gradient tensors .* got 2: 2 missing"):
        checked_gradients(lacking, EXPECTED)
    with pytest.raises(InvalidQuery, match="1 unknown"):
        checked_gradients({**good, "c0/base_model.model.h.0.lora_A.weight": torch.zeros(2, 3)}, EXPECTED)
    with pytest.raises(InvalidQuery, match="of shape"):
        checked_gradients({**good, "c0/h.0.lora_A.default.weight": torch.zeros(3, 2)}, EXPECTED)
