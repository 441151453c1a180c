"""docker/: what the images are made of."""

import re
import subprocess
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.static.files import ROOT, tool

DOCKERFILE = ROOT / "docker" / "Dockerfile"
TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(accelerator):
    lines = (ROOT / "docker" / f"requirements-{accelerator}.txt").read_text().splitlines()
    pins = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


def test_hadolint_finds_nothing():
    done = subprocess.run([tool("hadolint"), str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
def test_the_pins_are_what_the_package_requires(accelerator):
    pins = pinned(accelerator)
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras[accelerator], *extras["hf"]]
    for requirement in map(Requirement, wanted):
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} is pinned to {version}"
    constraints = (ROOT / "constraints.txt").read_text()
    assert f"torch=={pins['torch']}" in constraints
    assert {"cpu": "faiss-gpu", "gpu": "faiss-cpu"}[accelerator] not in pins


def test_the_image_has_the_packages_that_the_tests_ran_with():
    """Closely: a development environment may be newer by a little."""
    for name, version in pinned("cpu").items():
        if name in {"torch", "faiss-cpu", "numpy", "sqlalchemy", "fastapi", "starlette", "pydantic"}:
            here = metadata.version(name).partition("+")[0]
            assert here.split(".")[0] == version.split(".")[0], f"run docker/lock.py: {name} is {here} here"


def test_both_images_run_as_a_user_and_have_no_compiler():
    assert re.findall(r"^USER (.*)", TEXT, re.MULTILINE) == ["10001:10001"]
    finals = dict(re.findall(r"^FROM runtime AS (\w+)\n((?:(?!FROM).*\n?)*)", TEXT, re.MULTILINE))
    assert set(finals) == {"cpu", "gpu"}
    for name, steps in finals.items():
        assert f"COPY --from=packages-{name} /opt/byline /opt/byline" in steps
        assert "RUN" not in steps
    assert "apt-get" not in TEXT


def test_engines_of_every_age_build_it():
    assert "<<" not in TEXT
    assert "--link" not in TEXT
    assert "--mount" not in TEXT
    assert "--start-interval" not in TEXT


def test_only_what_the_images_need_is_sent_to_the_engine():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
    for source in " ".join(copied).split():
        assert any(re.fullmatch(pattern.replace("*", ".*"), source) for pattern in allowed), source
