"""The Python client of a Byline service, synchronous and asynchronous. See docs/client.md."""

from byline.api.accounts import NewKeyBody, Scope
from byline.api.attributions import Progress
from byline.api.compensation import PolicyBody, Quality
from byline.api.consents import ConsentRow
from byline.api.holds import HoldBody, Subject
from byline.api.owner_accounts import OwnerSearch
from byline.api.parties import PartyBody, PartyDetails, PartyIdentifiers
from byline.api.payouts import Payee
from byline.api.statements import AdjustmentBody, AllocationBody, ReleaseBody, ReversalBody
from byline.client.client import AsyncClient, Client
from byline.client.errors import (
    ClientError,
    Conflict,
    DeadlineExceeded,
    DiskFull,
    Forbidden,
    InProgress,
    InvalidRequest,
    KeyReused,
    NonFinite,
    NotFound,
    NotPayable,
    QuotaExceeded,
    ServiceError,
    ServiceFault,
    StaleAlias,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from byline.client.gradients import gradient_of
from byline.client.retries import NEVER, Retries

__all__ = [
    "NEVER",
    "AdjustmentBody",
    "AllocationBody",
    "AsyncClient",
    "Client",
    "ClientError",
    "Conflict",
    "ConsentRow",
    "DeadlineExceeded",
    "DiskFull",
    "Forbidden",
    "HoldBody",
    "InProgress",
    "InvalidRequest",
    "KeyReused",
    "NewKeyBody",
    "NonFinite",
    "NotFound",
    "NotPayable",
    "OwnerSearch",
    "PartyBody",
    "PartyDetails",
    "PartyIdentifiers",
    "Payee",
    "PolicyBody",
    "Progress",
    "Quality",
    "QuotaExceeded",
    "ReleaseBody",
    "Retries",
    "ReversalBody",
    "Scope",
    "ServiceError",
    "ServiceFault",
    "StaleAlias",
    "Subject",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "gradient_of",
]
