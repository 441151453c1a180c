"""docker/: what the images are made of."""

import os
import re
import subprocess
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.static.files import ROOT, compose, tool

DOCKERFILE = ROOT / "docker" / "Dockerfile"
TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned(accelerator):
    pins = (line.partition(" ")[0].split("==") for line in lines(accelerator))
    return {canonicalize_name(name): version for name, version in pins}


def lines(accelerator):
    files = [f"requirements-{accelerator}.txt", *(["torch-cpu.txt"] if accelerator == "cpu" else [])]
    text = "".join((ROOT / "docker" / name).read_text() for name in files)
    return [line for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
def test_every_pin_has_the_hash_of_its_file(accelerator):
    found = lines(accelerator)
    assert len(found) > 80
    for line in found:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[^\s=]+( --hash=sha256:[0-9a-f]{64})+", line), line
    hashes = [line.partition("--hash=")[2] for line in found]
    assert len(set(hashes)) == len(hashes)


def test_every_package_is_installed_by_its_hash():
    installs = re.findall(r"pip [^&]*?install (.*?)(?= &&|$)", TEXT.replace("\\\n", " "), re.MULTILINE)
    ours = [each for each in installs if "/dist/" in each]
    others = [each for each in installs if "/dist/" not in each]
    assert len(ours) == 2
    assert len(others) == 3
    assert all("--require-hashes" in each and "--extra-index-url" not in each for each in others)


def test_torch_alone_comes_from_its_own_index():
    packages, torch = (
        {
            line.partition("==")[0]
            for line in (ROOT / "docker" / name).read_text().splitlines()
            if line[0] != "#"
        }
        for name in ("requirements-cpu.txt", "torch-cpu.txt")
    )
    assert torch == {"torch"}
    assert not torch & packages


def test_images_of_other_makers_can_be_named_by_digest():
    """No digest is in the repository: docker/pin-images asks the registry for those of today."""
    services = compose()["services"]
    reference = r"\$\{(\w+_IMAGE):-(docker\.io/[\w/-]+:[\w.-]+)\}"
    named = {
        name: re.fullmatch(reference, each["image"])
        for name, each in services.items()
        if "BYLINE_IMAGE" not in each["image"]
    }
    assert set(named) == {"postgres", "reader", "backup", "prometheus", "grafana"}
    assert all(named.values())
    base = re.search(r"^ARG PYTHON_IMAGE=(.*)$", TEXT, re.MULTILINE).group(1)
    assert services["service"]["build"]["args"] == {"PYTHON_IMAGE": f"${{PYTHON_IMAGE:-{base}}}"}
    assert set(re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE)) <= {
        "${PYTHON_IMAGE}",
        "tools",
        "runtime",
        "packages-cpu",
        "packages-gpu",
    }


FAKE_DOCKER = """#!/bin/sh
[ "$1 $2 $3" = "buildx imagetools inspect" ] || exit 1
for image; do :; done
case $image in *grafana*) [ -z "${BROKEN:-}" ] || exit 0 ;; esac
echo "sha256:$(printf %s "$image" | sha256sum | cut -c1-64)"
"""


def test_digests_are_asked_for_and_used(tmp_path):
    docker = tmp_path / "docker"
    docker.write_text(FAKE_DOCKER)
    docker.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    target = tmp_path / "images.env"
    script = [str(ROOT / "docker" / "pin-images"), str(target)]
    subprocess.run(script, check=True, env=path, stdout=subprocess.DEVNULL)
    pins = dict(line.split("=", 1) for line in target.read_text().splitlines())
    assert set(pins) == {"PYTHON_IMAGE", "POSTGRES_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE"}
    for value in pins.values():
        assert re.fullmatch(r"docker\.io/[\w/-]+:[\w.-]+@sha256:[0-9a-f]{64}", value)
    before = target.read_text()
    done = subprocess.run(script, check=False, env=path | {"BROKEN": "1"}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "expected the digest of docker.io/grafana" in done.stderr
    assert target.read_text() == before
    assert "images.env" in (ROOT / "deploy" / "compose-command").read_text()


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
