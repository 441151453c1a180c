"""Whoever leaves in the middle ends what is computed for them; and a body that is refused early says why."""

import pytest
import torch

from byline.client import NEVER, TooLarge, Unauthorized, Unreachable
from tests.service.keys import admin_key


def test_large_bodies_that_are_refused_unread(twin, held):
    """The refusal may be lost with the connection; the error then says what it can have been."""
    url, _ = held
    tensors = {"c0-m0/w": torch.zeros(1 << 21)}
    with pytest.raises((TooLarge, Unreachable), match=r"at most \d+ bytes|8,388,\d+ bytes unread"):
        twin(url, admin_key(), retries=NEVER).attribute_tensors("fake", tensors)
    with pytest.raises((Unauthorized, Unreachable), match="key"):
        twin(url, "byl_nonsense", retries=NEVER).attribute_tensors("fake", tensors)
