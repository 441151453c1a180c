"""The keys of the settings. Without one, the signing key is derived from the service's secret."""

from byline_service.accounts.secret import read_secret
from byline_service.settings import Settings
from byline_service.signing.keys import KeyRing, SigningKey, read_public_keys


def read_keyring(settings: Settings, *, is_sqlite: bool) -> KeyRing:
    """Read the key that signs, and the former ones.

    Args:
        settings: The settings.
        is_sqlite: Whether the database is SQLite, whose secret may be made in the data folder.

    Raises:
        InvalidInput: A key is not an Ed25519 key, or there is no secret.
    """
    if settings.signing_key is None:
        signing = SigningKey.from_secret(read_secret(settings, is_sqlite=is_sqlite))
    else:
        signing = SigningKey.from_pem(settings.signing_key.get_secret_value())
    return KeyRing(signing, read_public_keys(settings.signing_former_keys))
