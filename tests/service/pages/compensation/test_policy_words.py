"""Policies in sentences; and a revision that starts from the last one changes nothing by itself."""

import pytest

from byline.api.compensation import MinimumQuality, PolicyBody
from byline_service.api.policies import policy_of
from byline_service.pages.compensation.policy_words import body_of, changes, sentences
from tests.service.compensation.reference import policy

POLICIES = [
    policy(),
    policy(multiplier=16_450, floor=500),
    policy(spread="event", pool=20, budget=4_000, largest_weight=7, unique_references=False),
    policy(minimum_quality=MinimumQuality(millionths=250_000), indexes=("a", "b"), targets=("margin",)),
    policy(currency="JPY", period="quarter", asked=("feature", "query"), allow_within_checkpoint=True),
]


@pytest.mark.parametrize("stored", POLICIES)
def test_the_body_of_a_revision_makes_an_equal_one(stored):
    again = policy_of(PolicyBody.model_validate(body_of(stored)))
    assert again == stored
    assert changes(stored, again) == []


def test_a_term_is_a_sentence_with_its_amounts():
    found = sentences(POLICIES[1])
    assert found["pool"] == "Each month, 1,000.00 EUR are divided over its events by weight."
    assert found["floor"] == "Amounts below 5.00 EUR are carried into the next run."
    assert "1.645 standard errors" in found["bound"]
    assert "100,000 JPY" in sentences(POLICIES[4])["pool"]
    assert all(each.endswith(".") for stored in POLICIES for each in sentences(stored).values())


def test_a_revision_is_told_as_what_changed():
    (change,) = changes(policy(), policy(floor=500))
    assert change.before == "Every amount is paid, however small."
    assert change.after == "Amounts below 5.00 EUR are carried into the next run."
