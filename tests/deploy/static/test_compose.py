"""deploy/compose.yaml: valid, closed to the outside, and of one piece with the scripts beside it."""

import os
import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from byline_service.database.engine import database_url
from byline_service.database.grants import require_two_roles
from tests.deploy.static.files import DEPLOY, ROOT, compose, tool

SERVICES = compose()["services"]


def test_both_files_are_valid():
    paths = [str(DEPLOY / "compose.yaml"), str(DEPLOY / "compose.gpu.yaml")]
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_old_compose_takes_it():
    assert not {"name", "include", "configs"} & set(compose())


def test_everything_that_was_asked_for_is_there():
    assert {"postgres", "migrate", "indexer", "service", "prometheus", "grafana"} <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_each_container_is_held_back(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"]
    assert service["restart"] in {"unless-stopped", "on-failure", "no"}
    assert "privileged" not in service
    if name != "postgres":  # its image writes outside of its volume
        assert service["read_only"] is True
    for secret in service.get("secrets", []):
        assert secret in compose()["secrets"]


def test_ports_are_open_to_this_machine_only():
    for name in ("service", "prometheus", "grafana"):
        (port,) = SERVICES[name]["ports"]
        assert ":-127.0.0.1:" in port
    for name in set(SERVICES) - {"service", "prometheus", "grafana"}:
        assert "ports" not in SERVICES[name]
    assert compose()["networks"]["database"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == ["database"]
    assert SERVICES["indexer"]["network_mode"] == "none"


def test_no_secret_is_in_the_environment():
    for name, service in SERVICES.items():
        for variable in service.get("environment", {}):
            secret = any(word in variable for word in ("PASSWORD", "SECRET", "TOKEN", "DATABASE_URL"))
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"


def test_secrets_are_made_once_and_kept(tmp_path):
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOY / "make-secrets", folder], check=True)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(first) == set(compose()["secrets"])
    assert len(set(first.values())) == len(first)
    assert all(len(text) >= 64 for text in first.values())
    made = load_pem_private_key(first["byline_signing_key"].encode(), password=None)
    assert isinstance(made, Ed25519PrivateKey)
    assert first["postgres_password"] in first["byline_migration_database_url"]
    assert first["postgres_password"] not in first["byline_database_url"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (folder / "reader_password").unlink()
    subprocess.run([DEPLOY / "make-secrets", folder], check=True)
    second = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in first if first[name] != second[name]} == {"reader_password"}


def test_the_migration_alone_has_the_role_that_owns_the_tables(tmp_path):
    owners = {"byline_migration_database_url", "postgres_password"}
    having = {name for name, service in SERVICES.items() if owners & set(service.get("secrets", []))}
    assert having == {"postgres", "reader", "migrate"}
    assert set(SERVICES["migrate"]["secrets"]) == {"byline_migration_database_url", "byline_database_url"}
    subprocess.run([DEPLOY / "make-secrets", tmp_path], check=True)
    owner, runtime = (
        database_url((tmp_path / name).read_text())
        for name in ("byline_migration_database_url", "byline_database_url")
    )
    require_two_roles(owner, runtime)
    assert owner.username == SERVICES["postgres"]["environment"]["POSTGRES_USER"]


def test_secrets_are_never_committed():
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "deploy" not in (ROOT / ".dockerignore").read_text()


@pytest.mark.parametrize("name", ["up", "down", "make-secrets", "compose-command"])
def test_scripts_can_be_run(name):
    assert os.access(DEPLOY / name, os.X_OK)
    subprocess.run(["bash", "-n", DEPLOY / name], check=True)


def test_unknown_options_are_refused():
    done = subprocess.run([DEPLOY / "up", "--what"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected" in done.stderr


def test_the_ledger_is_verified_and_the_database_copied_on_a_schedule():
    for name, script in (("verify", "verify"), ("backup", "backup")):
        service = SERVICES[name]
        every, seconds, command = service["entrypoint"][1], service["entrypoint"][2], service["entrypoint"][4]
        assert (every, command) == ("/schedule/every", f"/schedule/{script}")
        assert 0 < int(seconds) <= 86400
        (folder, _) = service["tmpfs"][0].split(":")
        assert service["healthcheck"]["test"] == ["CMD", "test", "!", "-e", f"{folder}/failed"]
        assert service["secrets"] == ["byline_database_url"]
    heads = SERVICES["service"]["environment"]["BYLINE_LEDGER_HEADS_FILE"]
    assert SERVICES["verify"]["entrypoint"][-1] == heads


def test_what_is_mounted_is_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose()["volumes"]
