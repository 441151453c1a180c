"""Sums that are made when they are looked up, and waves of blocks: the same fits in less memory."""

import pytest
import torch

from byline.curvature import sums
from byline.curvature.sums import LazySums, wave_name, waves
from byline.features.featurizer import statistics
from byline.features.fitting import fit
from byline.gradients.checks import build_collector
from byline.recipes import recipe
from tests.reference import models


def test_groups_are_made_once_when_they_are_looked_up() -> None:
    made: list[str] = []

    def maker(name: str) -> dict[str, torch.Tensor]:
        made.append(name)
        return {f"{name}.one": torch.ones(2), f"{name}.two": torch.zeros(2)}

    lazy = LazySums([([f"{n}.one", f"{n}.two"], lambda n=n: maker(n)) for n in ("a", "b")])
    assert list(lazy) == ["a.one", "a.two", "b.one", "b.two"]
    assert made == []
    assert [float(lazy[name].sum()) for name in lazy] == [2.0, 0.0, 2.0, 0.0]
    assert made == ["a", "b"]
    assert float(lazy["a.one"].sum()) == 2.0, "another look makes it again"


def test_waves_hold_as_many_blocks_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    case = models.transformer()
    blocks = build_collector(case.model, case.loss, case.sample).blocks
    monkeypatch.setattr(sums, "WAVE", 10)
    sizes = dict(zip([b.name for b in blocks], [4, 4, 4, 30, *[1] * len(blocks)], strict=False))
    cut = waves(blocks, lambda block: sizes[block.name])
    assert [len(wave) for wave in cut[:3]] == [2, 1, 1]
    assert [block for wave in cut for block in wave] == list(blocks)
    assert wave_name("factors", 0, 1) == "factors"
    assert wave_name("factors", 1, 2) == "factors.00001"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("kfac", {}),
        ("ekfac", {}),
        ("ekfac_adam", {"pca": None}),
        ("less", {"projection": {"size": 64}}),
        ("relatif", {}),
    ],
)
def test_a_fit_in_waves_is_the_fit_in_one(
    name: str, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = models.transformer()
    collector = build_collector(case.model, case.loss, case.sample)
    gradients = collector.collect(case.loss, case.batch, case.count)
    chosen = recipe(name, **changes)
    whole = fit(chosen, collector.blocks, [gradients])
    count = len(statistics(chosen, collector.blocks))
    monkeypatch.setattr(sums, "WAVE", 2000)
    assert len(statistics(chosen, collector.blocks)) > count
    waved = {n: t for n, t in fit(chosen, collector.blocks, [gradients]).items() if "scratch" not in n}
    assert waved.keys() == whole.keys()
    for entry, value in whole.items():
        torch.testing.assert_close(waved[entry], value)
