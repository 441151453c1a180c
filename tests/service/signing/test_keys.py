"""Keys sign, and tell their own signatures from all others."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from byline.errors import InvalidInput
from byline_service.signing.keys import KeyRing, PublicKey, SigningKey, read_public_keys

CONTENT = b"what was answered"


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def keys(*seeds):
    return [SigningKey.from_secret(seed * 32) for seed in seeds]


class TestKeys:
    def test_a_signature_is_of_one_key_and_of_one_content(self):
        ours, others = keys(b"a", b"b")
        signature = ours.sign(CONTENT)
        assert ours.public.verifies(signature, CONTENT)
        assert not ours.public.verifies(signature, CONTENT + b".")
        assert not others.public.verifies(signature, CONTENT)
        renamed = signature.model_copy(update={"key": others.public.id})
        assert not others.public.verifies(renamed, CONTENT)

    def test_another_spelling_of_a_signature_is_none(self):
        (ours,) = keys(b"a")
        signature = ours.sign(CONTENT)
        value = signature.value
        spelled = value[:-3] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[value[-3]] + "=="
        assert not ours.public.verifies(signature.model_copy(update={"value": spelled}), CONTENT)

    @pytest.mark.parametrize("value", ["", "no base64!", "AAAA", "A" * 88])
    def test_a_value_that_is_no_signature_is_none(self, value):
        (ours,) = keys(b"a")
        signature = ours.sign(CONTENT).model_copy(update={"value": value})
        assert not ours.public.verifies(signature, CONTENT)

    def test_a_secret_gives_the_same_key_everywhere(self):
        first, again, another = keys(b"a", b"a", b"b")
        assert first.public == again.public != another.public

    def test_keys_are_read_from_pem(self):
        private = Ed25519PrivateKey.generate()
        read = SigningKey.from_pem(pem(private))
        assert read.public.raw == private.public_key().public_bytes_raw()
        assert PublicKey.from_text(read.public.text) == read.public
        first, second = (each.public for each in keys(b"a", b"b"))
        assert read_public_keys(first.pem + "\n" + second.pem) == [first, second]
        assert read_public_keys(" \n") == []

    def test_another_text_is_refused_and_not_shown(self):
        rsa = pem(generate_private_key(65537, 2048))
        for wrong in ("hunter2", rsa):
            with pytest.raises(InvalidInput, match="expected signing_key as PEM") as caught:
                SigningKey.from_pem(wrong)
            assert wrong[-20:] not in str(caught.value)
            with pytest.raises(InvalidInput, match="expected Ed25519 public keys"):
                read_public_keys(wrong)


class TestKeyRing:
    def test_former_keys_are_accepted_and_others_are_not(self):
        new, former, unknown = keys(b"a", b"b", b"c")
        ring = KeyRing(new, [former.public])
        assert ring.signer(former.sign(CONTENT), CONTENT) == former.public
        assert ring.signer(new.sign(CONTENT), CONTENT) == new.public
        with pytest.raises(InvalidInput, match="no longer accepted"):
            ring.signer(unknown.sign(CONTENT), CONTENT)
        with pytest.raises(InvalidInput, match="changed"):
            ring.signer(former.sign(CONTENT), b"something else")
