"""The public keys that verify receipts and events."""

from fastapi import APIRouter, Request

from byline.api.receipts import SigningKeyDocument, SigningKeyList
from byline_service.accounts.permissions import signed_in
from byline_service.ledger import signing_key_queries
from byline_service.state import AppState

router = APIRouter(prefix="/v1/signing-keys", tags=["Compensation"])


@router.get("", operation_id="list_signing_keys", dependencies=[signed_in()])
async def list_signing_keys(request: Request) -> SigningKeyList:
    """List the public keys of the service, the current one first."""
    service: AppState = request.app.state.service
    current = service.keyring.signing.public
    async with service.database.read() as reading:
        known = await signing_key_queries.known(reading)
    keys = {key.id: key for key in (current, *known, *service.keyring.accepted.values())}
    return SigningKeyList(
        keys=[
            SigningKeyDocument(id=key.id, public_key=key.pem, current=key.id == current.id)
            for key in keys.values()
        ]
    )
