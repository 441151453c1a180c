"""The images: pulled where a registry can be reached, made from Debian's packages where none can; Byline's is built."""

import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.deploy.real.engine import Engine, mounts

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BYLINE = "localhost/byline:test-deploy"
PYTHON = "docker.io/library/python:3.11-slim"
PULL_SECONDS = 300


def named(service: str) -> str:
    """The image of one of the compose file's services, in full."""
    image = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"][service]["image"]
    return image.removesuffix("}").partition(":-")[2]


def prepare(engine: Engine) -> bool:
    """Have the images that others make.

    Returns:
        Whether Grafana's is there: it can be pulled, and cannot be made of Debian's packages.
    """
    wanted = [PYTHON, named("postgres"), named("prometheus")]
    if all(_pulled(engine, image) for image in wanted):
        return _pulled(engine, named("grafana"))
    engine.run(HERE / "base-images", *wanted, seconds=1800)
    return False


def _pulled(engine: Engine, image: str) -> bool:
    if engine.succeeds("podman", "image", "exists", image):
        return True
    try:
        return engine.succeeds("podman", "pull", "--quiet", image, seconds=PULL_SECONDS)
    except subprocess.TimeoutExpired:
        return False


def build(engine: Engine, checkout: Path, target: str = "cpu") -> None:
    """Build Byline's image from a checkout, with pip set up as on this machine."""
    settings = pip_settings()
    own = engine.folder / "pip.conf"
    own.write_text("\n".join(["[global]", *(f"{name} = {value}" for name, value in settings.items())]) + "\n")
    engine.run(
        *("podman", "build", "--pull=never", "--format", "docker", "--network", "host", "--target", target),
        *(["--build-arg", "TORCH_INDEX="] if "find-links" in settings else []),
        *("--volume", f"{own}:/etc/pip.conf:ro"),
        *mounts(folders(settings)),
        *("--tag", BYLINE, "--file", checkout / "docker" / "Dockerfile", checkout),
        seconds=1800,
    )


def pip_settings() -> dict[str, str]:
    """pip's configuration on this machine, such as an index of the company's own; the environment has the last word."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found: dict[str, str] = {}
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in {":env:", "global", "install"} and value.strip("'"):
            found[name] = shlex.split(value)[0]
    return found


def folders(settings: dict[str, str]) -> list[str]:
    """Files and folders of this machine that pip's configuration names."""
    words = (word for value in settings.values() for word in value.split())
    paths = [Path(urlsplit(word).path if word.startswith("file:") else word) for word in words]
    there = {
        path.parent if path.name == "simple" else path
        for path in paths
        if path.is_absolute() and path.exists()
    }
    return sorted(map(str, there))
