"""The Python client of a Byline service, for calling and for awaiting. See docs/client.md."""

from service.access.scopes import Scope
from service.client.client import AsyncClient, Client
from service.client.errors import (
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
    TooLarge,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from service.client.gradients import gradient_of
from service.client.retries import NEVER, Retries
from service.schemas import Progress
from service.schemas_accounts import NewKeyBody
from service.schemas_compensation import PolicyBody, Quality
from service.schemas_statements import AllocationBody, ReleaseBody, ReversalBody

__all__ = [
    "NEVER",
    "AllocationBody",
    "AsyncClient",
    "Client",
    "ClientError",
    "Conflict",
    "DeadlineExceeded",
    "DiskFull",
    "Forbidden",
    "InProgress",
    "InvalidRequest",
    "KeyReused",
    "NewKeyBody",
    "NonFinite",
    "NotFound",
    "NotPayable",
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
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "gradient_of",
]
