"""Ed25519 keys: one signs, several verify, so that a key can be changed."""

import hashlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from byline.api.receipts import Signature
from byline.errors import InvalidInput

_PURPOSE = b"byline signing key 1"
_END = "-----END PUBLIC KEY-----"


@dataclass(frozen=True)
class PublicKey:
    """A key that verifies signatures."""

    raw: bytes
    """The 32 bytes of the key."""

    @property
    def id(self) -> str:
        """Return the id of the key."""
        return hashlib.sha256(self.raw).hexdigest()[:32]

    @property
    def text(self) -> str:
        """Return the key in base64."""
        return _text(self.raw)

    @property
    def pem(self) -> str:
        """Return the key as PEM."""
        key = Ed25519PublicKey.from_public_bytes(self.raw)
        return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a key that `text` wrote."""
        return cls(b64decode(text))

    def verifies(self, signature: Signature, content: bytes) -> bool:
        """Return whether a signature of some bytes was made with this key.

        Args:
            signature: The signature.
            content: The signed bytes.
        """
        if signature.key != self.id:
            return False
        try:
            value = b64decode(signature.value, validate=True)
            Ed25519PublicKey.from_public_bytes(self.raw).verify(value, content)
        except (InvalidSignature, Base64Error, ValueError):
            return False
        return signature.value == _text(value)  # one spelling alone: base64 has unused bits


class SigningKey:
    """A key that signs.

    Args:
        key: The private key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        """Key that verifies the signatures."""

    @classmethod
    def from_secret(cls, secret: bytes) -> Self:
        """Derive a key from the service's secret, by HKDF with SHA-256: the same one in every replica."""
        seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_pem(cls, text: str) -> Self:
        """Read a private key from PEM.

        Raises:
            InvalidInput: The text is no Ed25519 private key without a password.
        """
        try:
            key = load_pem_private_key(text.encode(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidInput(
                f"expected signing_key as PEM of an Ed25519 private key without a password, got another text of "
                f"{len(text)} characters: make one with `openssl genpkey -algorithm ed25519`"
            )
        return cls(key)

    def sign(self, content: bytes) -> Signature:
        """Sign some bytes."""
        return Signature(key=self.public.id, value=_text(self._key.sign(content)))


class KeyRing:
    """The key that signs, and all keys whose signatures are accepted.

    Args:
        signing: The key that signs.
        former: Public keys that signed before.
    """

    def __init__(self, signing: SigningKey, former: Iterable[PublicKey] = ()) -> None:
        self.signing = signing
        """Key that signs."""
        self.accepted = {key.id: key for key in (*former, signing.public)}
        """Keys by id, the signing one among them."""

    def signer(self, signature: Signature, content: bytes) -> PublicKey:
        """Return the key that made a signature.

        Raises:
            InvalidInput: No accepted key made it.
        """
        key = self.accepted.get(signature.key)
        if key is None or not key.verifies(signature, content):
            raise InvalidInput(
                "expected a receipt as this service signed it, got one that was changed, or signed with a key that is no "
                "longer accepted: ask the question again"
            )
        return key


def read_public_keys(text: str) -> list[PublicKey]:
    """Read public keys from PEM, one after the other.

    Raises:
        InvalidInput: A part of the text is no Ed25519 public key.
    """
    found = []
    for part in text.split(_END):
        if not part.strip():
            continue
        try:
            key = load_pem_public_key(f"{part.strip()}\n{_END}\n".encode())
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise InvalidInput(
                "expected Ed25519 public keys as PEM, one after the other, got another text: write one with "
                "`openssl pkey -in KEY -pubout`"
            )
        found.append(PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw)))
    return found


def _text(raw: bytes) -> str:
    return b64encode(raw).decode("ascii")
