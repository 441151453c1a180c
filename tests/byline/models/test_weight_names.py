"""Names are matched by what wraps them, by their age and by one common prefix; what fits as it is stays."""

import pytest

from byline.models.weight_names import common_prefix, own_names, plain_name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("module.a.weight", "a.weight"),
        ("_orig_mod.module.a.weight", "a.weight"),
        ("a._orig_mod.b.module.weight", "a.b.weight"),
        ("a.token_adapter.base_layer.weight", "a.weight"),
        ("a.gamma", "a.weight"),
        ("gamma.a", "gamma.a"),
        ("a.parametrizations.weight.original0", "a.weight_g"),
        ("a.parametrizations.weight.original1", "a.weight_v"),
        ("parametrizations.weight.original", "weight_orig"),
        ("a.parametrizations.weight.0._v", "a.weight_v"),
        ("a.weight_g", "a.weight_g"),
    ],
)
def test_one_spelling(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@pytest.mark.parametrize(
    ("stored", "own", "expected"),
    [
        (["m.a.w", "m.a.b"], ["a.w", "a.b"], ("m.", "")),
        (["a.w", "a.b"], ["m.n.a.w", "m.n.a.b"], ("", "m.n.")),
        (["x.w", "y.b"], ["a.w", "a.b"], ("", "")),
        (["m.a.w"], ["a.w", "a.b", "a.c"], ("m.", "")),
        ([], ["a"], ("", "")),
    ],
)
def test_one_prefix(stored: list[str], own: list[str], expected: tuple[str, str]) -> None:
    assert common_prefix(stored, own) == expected


def test_each_own_name_is_taken_once_and_as_it_is_first() -> None:
    found = own_names(["a.w", "module.a.w", "module.b.w"], ["a.w", "b.w"])
    assert found == {"a.w": "a.w", "module.b.w": "b.w"}
    assert own_names(["a.w", "module.a.w"], ["module.w", "w"]) == {}
    assert own_names(["module.w", "w"], ["w", "module.w"]) == {"module.w": "module.w", "w": "w"}
