"""The search of owners takes what an address can hold, and nothing else."""

import pytest
from pydantic import ValidationError

from byline.api.owner_accounts import OwnerAccounts, OwnerAccountsQuery, OwnerSearch


def test_an_address_is_a_search():
    found = OwnerAccountsQuery.model_validate({"policy": "p", "sort": "owner", "order": "asc"})
    assert (found.after, found.limit, found.sort, found.order) == (None, 100, "owner", "asc")


@pytest.mark.parametrize("wrong", [{"sort": "shoe"}, {"holding": ""}, {"text": "x" * 201}, {"more": 1}])
def test_another_search_is_refused(wrong):
    with pytest.raises(ValidationError):
        OwnerSearch.model_validate(wrong)


def test_the_sum_is_that_of_the_accounts():
    assert OwnerAccounts(owner="a", payable=1, escrow=20, held=4000, carried=300).total == 4321
