"""A served version knows how large its bodies may be, and what identifies it."""

from types import SimpleNamespace

import torch

from byline.errors import InvalidQuery
from byline.tasks.payloads import image_payload
from byline_service.versions.served_version import ServedVersion
from tests.service.fakes import fake_attributor


def test_it_is_named_by_its_manifest() -> None:
    attributor, _ = fake_attributor()
    version = ServedVersion.of(attributor)
    assert version.version == version.facts.version == attributor.index.version
    assert version.facts.index == attributor.name
    assert version.facts.recipe_fingerprint == attributor.index.fingerprint.recipe


def test_numbers_of_a_query_are_those_of_its_payload() -> None:
    attributor, _ = fake_attributor()
    assert ServedVersion.of(attributor).query_numbers <= 1, "a text and a label"
    attributor.task = None
    assert ServedVersion.of(attributor).query_numbers == 0
    attributor.task = SimpleNamespace(query=SimpleNamespace(payload=image_payload(torch.zeros(3, 8, 8))))
    assert 192 <= ServedVersion.of(attributor).query_numbers <= 193


def test_an_index_without_gradients_has_no_limit_of_them() -> None:
    attributor, _ = fake_attributor()
    assert (ServedVersion.of(attributor).gradient_bytes or 0) > 0

    def refused() -> None:
        raise InvalidQuery("no gradients")

    attributor.expected_gradients = refused
    assert ServedVersion.of(attributor).gradient_bytes is None
