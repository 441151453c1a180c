"""The public keys that verify receipts and events."""

from fastapi import APIRouter, Request

from byline.api.page import Page
from byline.api.receipts import SigningKeyDocument
from byline_service.accounts.permissions import signed_in
from byline_service.http.pagination import After, Limit, Number, cut, place_of
from byline_service.http.problems import problem_responses
from byline_service.ledger import signing_key_queries
from byline_service.state import AppState

router = APIRouter(prefix="/v1/signing-keys", tags=["Compensation"])


@router.get(
    "", operation_id="list_signing_keys", dependencies=[signed_in()], responses=problem_responses(422)
)
async def list_signing_keys(
    request: Request, after: After = None, limit: Limit = 100
) -> Page[SigningKeyDocument]:
    """List the public keys of the service, the current one first."""
    service: AppState = request.app.state.service
    current = service.keyring.signing.public
    async with service.database.read() as reading:
        known = await signing_key_queries.known(reading)
    keys = {key.id: key for key in (current, *known, *service.keyring.accepted.values())}
    listed = list(enumerate(keys.values(), 1))
    (last,) = place_of(after, tuple[Number]) or (0,)
    shown, following = cut(listed[last:], limit, lambda numbered: (numbered[0],))
    page = [
        SigningKeyDocument(id=key.id, public_key=key.pem, current=key.id == current.id) for _, key in shown
    ]
    return Page[SigningKeyDocument].of(page, following)
