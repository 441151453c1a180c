"""The keys of the settings. Without one, the signing key is derived from the service's secret."""

from byline_service.accounts.secret import read_secrets
from byline_service.settings import Settings
from byline_service.signing.keys import KeyRing, SigningKey, read_public_keys


def read_keyring(settings: Settings, *, is_sqlite: bool) -> KeyRing:
    """Read the key that signs, and the former ones. The key of a second secret is one of these.

    Args:
        settings: The settings.
        is_sqlite: Whether the database is SQLite, whose secret may be made in the data folder.

    Raises:
        InvalidInput: A key is not an Ed25519 key, or there is no secret.
    """
    former = read_public_keys(settings.signing_former_keys)
    if settings.signing_key is not None:
        return KeyRing(SigningKey.from_pem(settings.signing_key.get_secret_value()), former)
    secrets = read_secrets(settings, is_sqlite=is_sqlite)
    if secrets.second is not None:
        former.append(SigningKey.from_secret(secrets.second).public)
    return KeyRing(SigningKey.from_secret(secrets.current), former)
