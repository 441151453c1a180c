"""The service's settings: the only place that reads the environment (`BYLINE_…`)."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from byline.errors import InvalidInput
from byline.vocabulary import Similarity

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that only this machine can reach."""


class Settings(BaseSettings):
    """How the service runs. Each field is also an environment variable: `BYLINE_PORT=8080`."""

    model_config = SettingsConfigDict(env_prefix="BYLINE_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    """Address to listen on. Only loopback: this release has no accounts, so nobody else may ask."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free port."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads of torch and FAISS inside the one compute thread; None leaves their own number."""
    max_k: int = Field(default=1000, ge=1)
    """Most examples that one answer holds at each end."""
    max_queries: int = Field(default=64, ge=1)
    """Most queries of one request, in a batch or in a set."""
    max_entries: int = Field(default=20_000, ge=1)
    """Most training points and owners that one request may list: queries x (k x ends + owners)."""
    body_bytes: int = Field(default=1 << 20, ge=1024)
    """Largest JSON body. Gradient bodies have their own limit: the expected bytes and 1 %."""
    queue_requests: int = Field(default=64, ge=1)
    """Requests inside at once, waiting or computing; one more is answered 503."""
    queue_cost: int = Field(default=256, ge=1)
    """Queries inside at once, over all requests."""
    queue_bytes: int = Field(default=512 << 20, ge=1024)
    """Bytes of bodies inside at once."""
    batch_cost: int = Field(default=16, ge=1)
    """Most queries that are computed together. More helps throughput and costs latency."""
    deadline_seconds: float = Field(default=30.0, gt=0)
    """A request that takes longer is answered 504, and dropped if its turn has not come."""
    stream_seconds: float = Field(default=600.0, gt=0)
    """The same for a request that streams its progress: whoever asks sees that something happens."""
    head_seconds: float = Field(default=20.0, gt=0)
    """A connection on which the head of a request takes longer is closed."""
    baselines: Annotated[tuple[Similarity, ...], NoDecode] = ()
    """Rankings by similarity that are offered beside influence, as in `bm25,representation`: each costs a pass over
    the training set before the service is ready, and memory."""
    drain_seconds: float = Field(default=1.0, ge=0)
    """After SIGTERM: how long `/readyz` says 503 before new connections are refused."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged, as JSON lines on standard error."""

    @field_validator("baselines", mode="before")
    @classmethod
    def _words(cls, baselines: Any) -> Any:
        """Take a list with commas, as environments and command lines have it."""
        if not isinstance(baselines, str):
            return baselines
        return [word.strip() for word in baselines.split(",") if word.strip()]

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if host not in LOOPBACK:
            raise InvalidInput(
                f"expected host to be one of {', '.join(LOOPBACK)}: this release has no accounts, "
                "and whoever can connect may ask anything. For others, put an authenticating proxy "
                "in front"
            )
        return host
