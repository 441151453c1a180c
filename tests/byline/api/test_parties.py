import pytest
from pydantic import ValidationError

from byline.api.parties import PartyBody


def test_a_party_needs_a_name_alone() -> None:
    body = PartyBody(name="ada")
    assert (body.aliases, body.identifiers.isni, body.details.iban) == ([], None, None)


@pytest.mark.parametrize("more", [{"name": ""}, {"aliases": [""]}, {"details": {"iban": 1}}, {"id": "x"}])
def test_other_fields_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PartyBody.model_validate({"name": "ada"} | more)
