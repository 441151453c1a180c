"""Keys: random, checked before the database is asked, stored as digests alone."""

import hmac
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byline.errors import Unauthorized
from byline_service.accounts import keys
from byline_service.accounts.keys import ALPHABET, ApiKey, digest_key, new_key, parse_key, same_digest


def test_a_new_key_is_read_back():
    made = new_key()
    assert parse_key(made.text) == made
    assert made.text.startswith(f"byl_{made.id}")
    assert len({new_key().text for _ in range(200)}) == 200


@given(st.integers(4, 53), st.sampled_from(ALPHABET))
def test_any_one_wrong_character_is_found(place, character):
    text = new_key().text
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(Unauthorized):
            parse_key(changed)


@given(st.integers(4, 52))
def test_two_characters_in_the_wrong_order_are_found(place):
    text = new_key().text
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if swapped != text:
        with pytest.raises(Unauthorized):
            parse_key(swapped)


@given(st.text(max_size=80) | st.text(alphabet=ALPHABET, min_size=50, max_size=50).map("byl_".__add__))
def test_nothing_else_is_a_key(text):
    with pytest.raises(Unauthorized):  # one in 4 billion texts of the right length has the right checksum
        parse_key(text)


@given(st.text(alphabet=ALPHABET, max_size=60))
def test_the_checksum_is_crc_32_in_base_62(body):
    import zlib

    number = 0
    for character in keys.checksum(body):
        number = 62 * number + ALPHABET.index(character)
    assert number == zlib.crc32(body.encode())


def test_the_secret_does_not_show():
    made = new_key()
    assert made.text not in repr(made)
    assert made.text[16:48] not in repr(made)


def test_the_digest_depends_on_key_and_secret():
    one, other = new_key(), new_key()
    digests = [digest_key(key, secret) for key in (one, other) for secret in (b"a" * 32, b"b" * 32)]
    assert len(set(digests)) == 4
    assert all(not same_digest(left, right) for left, right in pairwise(digests))
    assert same_digest(digests[0], digest_key(ApiKey(one.id, one.text), b"a" * 32))


def test_digests_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(stored, given):
        compared.append((stored, given))
        return True

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert same_digest(b"x", b"y")
    assert compared == [(b"x", b"y")]
