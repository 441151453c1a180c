"""The settings of the service. No other module reads the environment (`BYLINE_…`)."""

import difflib
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

from byline.api.terms import Ranking
from byline.errors import InvalidInput
from byline.paths import LocalPath

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""Hosts that only this machine can reach."""
SECRETS = Path("/run/secrets")
"""Default folder of secrets as files, such as `byline_secret`. `BYLINE_SECRETS_DIR` names another one."""

SHORTEST_SECRET = 32


OTHER_VARIABLES = frozenset({"BYLINE_SECRETS_DIR", "BYLINE_KEY", "BYLINE_TRACEBACK"})
"""Variables that are no settings: the folder of secrets, the client's key, and tracebacks of commands."""


def variable_of(name: str) -> str:
    """Return the environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"BYLINE_{name.upper()}"


def require_known_variables() -> None:
    """Check that every variable `BYLINE_…` is a setting: a misspelt limit would silently not apply.

    Raises:
        InvalidInput: A variable is unknown.
    """
    known = {variable_of(name) for name in Settings.model_fields} | OTHER_VARIABLES
    for name in sorted(os.environ):
        if name.upper().startswith("BYLINE_") and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1)
            advice = f"did you mean {near[0]}?" if near else "`byline settings` lists them"
            raise InvalidInput(f"expected a setting of the service, got the variable {name}: {advice}")


def _data_dir() -> Path:
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if home else Path.home() / ".local" / "share") / "byline"


class Settings(BaseSettings):
    """Settings of the service. Each field is also an environment variable: `BYLINE_PORT=8080`.

    A secret may also be a file in `BYLINE_SECRETS_DIR` or `/run/secrets`, named `byline_secret`, `byline_database_url`.
    """

    model_config = SettingsConfigDict(
        env_prefix="BYLINE_", frozen=True, extra="ignore", populate_by_name=True
    )

    host: str = "127.0.0.1"
    """Address to listen on. Any address but loopback needs a key in the database, and `allowed_hosts`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """TCP port. 0 takes a free one."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = LOOPBACK
    """Accepted names in the `Host` header: the names under which clients reach the service, as in
    `byline.example.org,localhost`."""
    data_dir: LocalPath = Field(default_factory=_data_dir)
    """Folder of the SQLite database and of the generated secret."""
    database_url: SecretStr | None = None
    """`postgresql://user:password@host/name`, or `sqlite:///path`. The default is SQLite in `data_dir`."""
    migration_database_url: SecretStr | None = None
    """Address of the same database for `byline migrate` alone, with the role that owns the tables. The role of
    `database_url` then gets the rights that the service needs, and no more."""
    database_pool: int = Field(default=5, ge=1, le=100)
    """Number of database connections that are kept open."""
    secret: SecretStr | None = None
    """Secret for the digests of keys and for sessions: 32 or more random characters. PostgreSQL needs one. With SQLite
    one is generated in `data_dir`. A new secret makes every key invalid, unless `second_secret` has the former one."""
    second_secret: SecretStr | None = None
    """Another accepted secret while one replaces the other. A key that is used gets a digest under `secret`."""
    signing_key: SecretStr | None = None
    """Ed25519 private key as PEM, which signs answers and events. Without one, the key is derived from the secret."""
    signing_former_keys: str = ""
    """Former Ed25519 public keys as PEM, one after the other. Receipts that they signed can still be booked."""
    ledger_heads_file: LocalPath | None = None
    """File that gets the heads of the journal and of the audit log, a line each time. Keep it where the database's
    owner cannot change it. `byline ledger verify --head FILE` checks all of them."""
    ledger_heads_url: SecretStr | None = None
    """Address that gets the heads as JSON, by POST."""
    ledger_heads_seconds: float = Field(default=3600.0, ge=1)
    """Seconds between two notes of the heads. Heads that did not change are not noted again."""
    payer_name: str = ""
    """Name of the holder of the account that payouts are taken from, for files for the bank."""
    payer_iban: str = ""
    """IBAN of that account, without spaces."""
    payer_bic: str | None = None
    """BIC of its bank. None within SEPA."""
    key_fresh_seconds: float = Field(default=5.0, ge=0)
    """Seconds for which a key is cached without asking the database: a revoked key may work that long."""
    key_grace_seconds: float = Field(default=300.0, ge=0)
    """Seconds for which a key is cached while the database does not answer."""
    requests_per_minute: int | None = Field(default=None, ge=1, lt=1 << 31)
    """Requests a minute for a key without a quota of its own. None sets no limit."""
    queries_per_minute: int | None = Field(default=None, ge=1, lt=1 << 31)
    """Queries a minute for a key without a quota of its own, as the queue counts them. None sets no limit."""
    metrics_token: SecretStr | None = None
    """Bearer token for `/metrics`, as Prometheus sends it. A key with the scope `read` works too. A service with
    loopback names only needs neither."""
    secure_cookies: bool = False
    """Browsers reach the service by https: the session cookie is `__Host-byline_session`, sent over https only. Set it
    behind a proxy that terminates TLS. A request that comes by https does the same without the setting."""
    threads: int | None = Field(default=None, ge=1, le=1024)
    """Threads of torch and FAISS inside the compute thread. None leaves the libraries' default."""
    max_k: int = Field(default=1000, ge=1)
    """Most examples in one answer, in each direction."""
    max_queries: int = Field(default=64, ge=1)
    """Most queries in one request, as a batch or as a set."""
    max_entries: int = Field(default=20_000, ge=1)
    """Most training points and owners in one answer: queries x (k x directions + owners)."""
    body_bytes: int = Field(default=1 << 20, ge=1024)
    """Largest JSON body. Gradient bodies have a limit of their own: the expected bytes and 1 %."""
    queue_requests: int = Field(default=64, ge=1)
    """Most concurrent requests, waiting or computing. The next one gets status 503."""
    queue_cost: int = Field(default=256, ge=1)
    """Most concurrent queries, over all requests."""
    queue_bytes: int = Field(default=512 << 20, ge=1024)
    """Most bytes of concurrent request bodies."""
    batch_cost: int = Field(default=32, ge=1)
    """Most queries that are computed together. A larger batch raises throughput and latency."""
    answer_days: int = Field(default=90, ge=0, le=3650)
    """Days for which a recorded answer is kept. 0 records none."""
    answer_bytes: int = Field(default=1 << 20, ge=1024)
    """Most bytes of a recorded answer with its question."""
    answers_per_person: int = Field(default=1000, ge=1)
    """Most recorded answers of a person."""
    deadline_seconds: float = Field(default=30.0, gt=0)
    """Seconds after which a request gets status 504. A query that has not started is dropped."""
    stream_seconds: float = Field(default=600.0, gt=0)
    """Seconds after which a request that streams its progress ends."""
    head_seconds: float = Field(default=20.0, gt=0)
    """Seconds after which a connection is closed if the head of its request is not complete."""
    write_seconds: float = Field(default=20.0, gt=0)
    """Seconds in which a client must take 64 KiB of a waiting answer, or its connection is closed."""
    connections_per_address: int = Field(default=512, ge=1)
    """Most connections of one address. Behind a proxy all connections have the proxy's address: let the proxy limit
    its clients, and raise this number to its pool."""
    baselines: Annotated[tuple[Ranking, ...], NoDecode] = ()
    """Baselines to offer beside influence, as in `bm25,representation,blend`: each needs memory, and a pass over the
    training set before the service is ready."""
    versions_poll_seconds: float = Field(default=0.5, gt=0)
    """Seconds between two checks for changed aliases and new quality cards."""
    served_check_seconds: float = Field(default=3600.0, ge=1)
    """Seconds between two readings of every byte of the served versions. A damaged one is taken out of service."""
    drain_seconds: float = Field(default=1.0, ge=0)
    """Seconds after SIGTERM for which `/readyz` answers 503 before new connections are refused."""
    letterhead: str = ""
    """Sender on PDF statements: the name, then lines of the address and contact. A file in the folder of secrets may
    have them."""
    statement_fonts: Annotated[tuple[LocalPath, ...], NoDecode] = ()
    """TrueType fonts for letters of names beyond Latin, Greek and Cyrillic on PDF statements, separated by commas."""
    traces_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    """OpenTelemetry collector of traces (`byline[otel]`), from OpenTelemetry's own variables. None makes no traces."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged, as JSON lines on standard error."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then the files with secrets."""
        del dotenv_settings, file_secret_settings
        named = os.environ.get("BYLINE_SECRETS_DIR")
        folder = Path(named) if named else SECRETS
        if not folder.is_dir():
            if named:
                raise InvalidInput(
                    f"expected BYLINE_SECRETS_DIR to be a folder, got {folder}, which is not one"
                )
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=folder)

    @property
    def loopback_only(self) -> bool:
        """Return whether the service listens on loopback only."""
        return self.host in LOOPBACK and set(self.allowed_hosts) <= set(LOOPBACK)

    @field_validator("baselines", "allowed_hosts", "statement_fonts", mode="before")
    @classmethod
    def _words(cls, given: Any) -> Any:
        """Split a comma-separated list, as environments and command lines pass it."""
        if not isinstance(given, str):
            return given
        return [word.strip() for word in given.split(",") if word.strip()]

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts or "*" in hosts:
            raise InvalidInput(
                "expected at least one name in allowed_hosts: name the hosts under which clients reach the service"
            )
        return tuple(host.lower() for host in hosts)

    @field_validator("ledger_heads_url")
    @classmethod
    def _address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("https://", "http://")):
            raise InvalidInput(
                "expected ledger_heads_url to begin with https:// or http://, got another text"
            )
        return url

    @field_validator("secret", "second_secret")
    @classmethod
    def _long(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < SHORTEST_SECRET:
            raise InvalidInput(
                f"expected a secret of {SHORTEST_SECRET} or more random characters, got "
                f"{len(secret.get_secret_value())}: make one with `openssl rand -hex 32`"
            )
        return secret
