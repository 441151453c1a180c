"""Keys, audit log and usage through both clients."""

import pytest

from byline.client import Forbidden, NewKeyBody, QuotaExceeded, Retries, Scope, Unauthorized
from byline_service.app import create_app
from tests.service.fakes import fake_attributor
from tests.service.keys import admin_key, prepared
from tests.service.live import listening


@pytest.fixture
def url(tmp_path):
    """A service of its own.

    Yields:
        Its address.
    """
    app = create_app(prepared(tmp_path, key_fresh_seconds=0), {"fake": fake_attributor()[0]})
    with listening(app) as address:
        yield address


def test_keys_from_made_to_ended(twin, url):
    admin = twin(url, admin_key())
    assert "admin" in admin.caller().scopes
    made = admin.create_key(NewKeyBody(name="reader", person="Ada", scopes=[Scope.READ]))
    reader = twin(url, made.key)
    assert reader.caller().id == made.id
    assert [each.name for each in reader.indexes()] == ["fake"]
    with pytest.raises(Forbidden, match="scope query"):
        reader.attribute("fake", {"text": "x"})
    newer = admin.rotate_key(made.id, overlap_hours=1)
    assert newer.replaces == made.id
    admin.revoke_key(newer.id)
    admin.revoke_key(newer.id)
    with pytest.raises(Unauthorized):
        twin(url, newer.key).caller()
    assert {made.id, newer.id} <= {each.id for each in admin.keys(page_size=1)}
    actions = [each.action for each in admin.audit(page_size=2)]
    assert actions[:3] == ["keys.revoke", "keys.rotate", "keys.create"]


def test_usage_and_quotas(twin, url):
    admin = twin(url, admin_key())
    made = admin.create_key(
        NewKeyBody(name="few", person="Ada", scopes=[Scope.QUERY, Scope.READ], queries_per_minute=2)
    )
    few = twin(url, made.key, retries=Retries(total_seconds=0.5))
    few.attribute_batch("fake", [{"text": "x"}, {"text": "y"}])
    with pytest.raises(QuotaExceeded) as caught:
        few.attribute("fake", {"text": "z"})
    assert 0 < caught.value.retry_after <= 60
    assert all(row.queries > 0 for row in admin.usage(days=1, page_size=1))
