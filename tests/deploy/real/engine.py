"""Podman with its Docker-compatible socket, for as long as the tests run; nothing outside of this machine is needed."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGES = (
    "podman buildah debootstrap uidmap fuse-overlayfs runc netavark aardvark-dns containernetworking-plugins catatonit "
    "iptables slirp4netns docker-compose"
)
INSTALL = f"apt-get install -y --no-install-recommends {PACKAGES}"
SETTINGS = """[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""For machines where no systemd runs, such as CI's."""
COMMANDS = ("podman", "docker-compose", "debootstrap", "runc")


def missing() -> list[str]:
    """Commands that the run needs and this machine has not."""
    return [name for name in COMMANDS if shutil.which(name) is None]


class Engine:
    """A running engine.

    Args:
        folder: Its socket and settings.
        project: Name of the compose project.
    """

    def __init__(self, folder: Path, project: str) -> None:
        self.folder = folder
        self.socket = folder / "podman.sock"
        self.project = project
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "BYLINE_PROJECT": project}
        if not Path("/run/systemd/system").exists():
            settings = folder / "containers.conf"
            settings.write_text(SETTINGS)
            self.environment["CONTAINERS_CONF"] = str(settings)

    def run(self, *command: str | Path, seconds: float = 600, check: bool = True) -> str:
        """Run a command beside the engine.

        Returns:
            What it wrote to standard output.
        """
        words = [str(word) for word in command]
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0 or not check, (
            f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout

    def succeeds(self, *command: str | Path, seconds: float = 600) -> bool:
        """Whether a command ends without an error."""
        words = [str(word) for word in command]
        done = subprocess.run(words, env=self.environment, capture_output=True, timeout=seconds, check=False)
        return done.returncode == 0

    def container(self, service: str) -> str:
        """The container of one of the compose file's services."""
        return f"{self.project}_{service}_1"

    def inspect(self, service: str, what: str) -> str:
        """One field of a container's state, as a Go template names it."""
        return self.run("podman", "inspect", self.container(service), "--format", what).strip()

    def inside(self, service: str, *command: str) -> str:
        """Run a command in a container."""
        return self.run("podman", "exec", self.container(service), *command)

    def remove_everything(self) -> None:
        """Remove what the project made, whatever state it is in."""
        label = f"label=com.docker.compose.project={self.project}"
        for listing, removal in (
            (["ps", "-aq", "--filter", label], ["rm", "-f", "--time", "1"]),
            (["network", "ls", "-q", "--filter", label], ["network", "rm", "-f"]),
            (["volume", "ls", "-q", "--filter", label], ["volume", "rm", "-f"]),
        ):
            for name in self.run("podman", *listing).split():
                self.run("podman", *removal, name, check=False)

    def left(self) -> list[str]:
        """What is left of the project: containers, networks, volumes."""
        label = f"label=com.docker.compose.project={self.project}"
        listings = (["ps", "-aq"], ["network", "ls", "-q"], ["volume", "ls", "-q"])
        return [
            each for listing in listings for each in self.run("podman", *listing, "--filter", label).split()
        ]

    def check_health(self) -> None:
        """Run the health checks of all containers once: without systemd nobody else does."""
        label = f"label=com.docker.compose.project={self.project}"
        for name in self.run("podman", "ps", "-q", "--filter", label, check=False).split():
            self.run("podman", "healthcheck", "run", name, check=False, seconds=60)


@contextlib.contextmanager
def started(project: str) -> Iterator[Engine]:
    """Start the engine's service, and end it.

    Yields:
        The engine.
    """
    with tempfile.TemporaryDirectory(prefix="byline-", dir="/run") as folder:
        engine = Engine(Path(folder), project)
        command = ["podman", "system", "service", "--time=0", f"unix://{engine.socket}"]
        log = (Path(folder) / "log").open("wb")
        process = subprocess.Popen(command, env=engine.environment, stdout=log, stderr=log)
        over = threading.Event()
        checking = threading.Thread(target=_check_health, args=(engine, over))
        try:
            while not engine.socket.exists():
                assert process.poll() is None, (Path(folder) / "log").read_text()
                time.sleep(0.1)
            checking.start()
            yield engine
        finally:
            over.set()
            if checking.ident is not None:
                checking.join()
            engine.remove_everything()
            process.terminate()
            process.wait(30)
            log.close()


def _check_health(engine: Engine, over: threading.Event) -> None:
    while not over.wait(2.0):
        engine.check_health()


def mounts(paths: Sequence[str]) -> list[str]:
    """Options that mount this machine's files into a build at the same place."""
    return [word for path in paths for word in ("--volume", f"{path}:{path}:ro")]
