"""Points come as payloads, as data sets, or as inputs and labels."""

from dataclasses import replace

import pytest
import torch

from byline.attribution.attributor import Attributor
from byline.attribution.point_forms import PointForms
from byline.attribution.selection import SelectionOptions
from byline.errors import InvalidQuery

PAYLOADS = [{"x": [float(place)] * 6, "label": place} for place in range(3)]
ARRAYS = (torch.arange(3.0)[:, None].expand(3, 6).clone(), torch.arange(3))


def test_payloads_are_lists_of_mappings_where_the_task_parses_them(attributor: Attributor) -> None:
    forms = attributor._forms
    assert forms.is_payloads(PAYLOADS)
    assert not forms.is_payloads(ARRAYS)
    assert not forms.is_payloads(PAYLOADS[0])
    assert attributor.task is not None
    unasked = PointForms(task=replace(attributor.task, query=None), featurizer=forms.featurizer)
    assert not unasked.is_payloads(PAYLOADS)


def test_both_forms_are_the_same_candidates(attributor: Attributor) -> None:
    by_payload, by_array = (list(attributor._forms.candidates(points)) for points in (PAYLOADS, ARRAYS))
    assert [each.name for each in by_payload] == [each.name for each in by_array]
    assert by_payload[2].name == "candidate 3"
    for one, other in zip(by_payload, by_array, strict=True):
        ((x, label),), ((other_x, other_label),) = one.items, other.items
        assert torch.equal(torch.as_tensor(x), other_x)
        assert int(label) == int(other_label)


def test_targets_are_needed(attributor: Attributor) -> None:
    selection = attributor.selection(SelectionOptions())
    with pytest.raises(InvalidQuery, match="evaluation_set"):
        attributor._forms.target_set(selection, None)
    with pytest.raises(InvalidQuery, match="opened with its Task"):
        PointForms(task=None, featurizer=None).models()
