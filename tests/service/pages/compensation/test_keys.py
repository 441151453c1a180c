"""The page of keys: never a secret, and for admins alone."""

from tests.service.keys import admin_key, bearer


def test_admins_see_keys_without_secrets(served):
    key = served.key_for(scopes=["read"], owners=["owner 1"], person="ash")
    text = served.client.get("/compensation/keys").text
    assert "ash" in text
    assert "owner 1" in text
    for secret in (key, admin_key()):
        assert secret not in text
        assert f'data-delete="/v1/keys/{secret[4:16]}"' in text or secret == admin_key()
    assert "yours" in text
    assert served.client.get("/compensation/keys", headers=bearer(key)).status_code == 403
