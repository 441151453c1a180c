"""The service's settings: the only place that reads the environment (`BYLINE_…`)."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from byline.api.terms import Similarity
from byline.errors import InvalidInput
from byline.paths import LocalPath

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that only this machine can reach."""
SECRETS = Path("/run/secrets")
"""Where containers get their secrets as files, such as `byline_secret`; `BYLINE_SECRETS_DIR` names another folder."""

SHORTEST_SECRET = 32


def _data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if home else Path.home() / ".local" / "share") / "byline"


class Settings(BaseSettings):
    """How the service runs. Each field is also an environment variable: `BYLINE_PORT=8080`.

    A secret may also be a file in `BYLINE_SECRETS_DIR` or `/run/secrets`, named `byline_secret`, `byline_database_url`.
    """

    model_config = SettingsConfigDict(
        env_prefix="BYLINE_", frozen=True, extra="ignore", populate_by_name=True
    )

    host: str = "127.0.0.1"
    """Address to listen on. Any but loopback needs a key in the database, and `allowed_hosts`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """0 takes a free port."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = LOOPBACK
    """Names in a `Host` header that are answered: the ones that the service is reached under, as in
    `byline.example.org,localhost`."""
    data_dir: LocalPath = Field(default_factory=_data_dir)
    """Folder of the database and the secret, where no others are given."""
    database_url: SecretStr | None = None
    """`postgresql://user:password@host/name`, or `sqlite:///path`; by default SQLite in `data_dir`."""
    database_pool: int = Field(default=5, ge=1, le=100)
    """Connections to the database that are kept open."""
    secret: SecretStr | None = None
    """What keys' digests and sessions are made with: 32 or more random characters. Needed with PostgreSQL; otherwise
    made once, in `data_dir`. Another secret makes every key invalid."""
    key_fresh_seconds: float = Field(default=5.0, ge=0)
    """How long a key is believed without asking the database again: a revoked one may work that long."""
    key_grace_seconds: float = Field(default=300.0, ge=0)
    """The same while the database does not answer."""
    requests_per_minute: int | None = Field(default=None, ge=1, lt=1 << 31)
    """Requests a minute of a key without a quota of its own; None: as many as there is room for."""
    queries_per_minute: int | None = Field(default=None, ge=1, lt=1 << 31)
    """Queries a minute of a key without a quota of its own, as the queue counts them."""
    metrics_token: SecretStr | None = None
    """A bearer token that reads `/metrics`, for Prometheus; a key with the scope `read` does too. Services that answer
    to loopback names only need neither."""
    secure_cookies: bool = False
    """Whether a session's cookie is sent over https only. Set it behind a proxy that ends TLS."""
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
    batch_cost: int = Field(default=32, ge=1)
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
    versions_poll_seconds: float = Field(default=0.5, gt=0)
    """How often to look whether an alias was changed elsewhere, or a quality card appeared."""
    drain_seconds: float = Field(default=1.0, ge=0)
    """After SIGTERM: how long `/readyz` says 503 before new connections are refused."""
    traces_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    """A collector of traces (`byline[otel]`), by OpenTelemetry's own variables; None makes no traces."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is logged, as JSON lines on standard error."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, then the environment, then files with secrets."""
        del dotenv_settings, file_secret_settings
        named = os.environ.get("BYLINE_SECRETS_DIR")
        folder = Path(named) if named else SECRETS
        if not folder.is_dir():
            if named:
                raise InvalidInput(f"expected BYLINE_SECRETS_DIR to be a folder, {folder} is none")
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine is answered."""
        return self.host in LOOPBACK and set(self.allowed_hosts) <= set(LOOPBACK)

    @field_validator("baselines", "allowed_hosts", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        """Take a list with commas, as environments and command lines have it."""
        if not isinstance(given, str):
            return given
        return [word.strip() for word in given.split(",") if word.strip()]

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts or "*" in hosts:
            raise InvalidInput("expected allowed_hosts to be the names that the service is reached under")
        return tuple(host.lower() for host in hosts)

    @field_validator("secret")
    @classmethod
    def _long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET:
            raise InvalidInput(
                f"expected secret to have {SHORTEST_SECRET} or more random characters, got "
                f"{len(secret.get_secret_value())}: make one with `openssl rand -hex 32`"
            )
        return secret
