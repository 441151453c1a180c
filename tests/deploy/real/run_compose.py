"""The compose file for real: `make test-deploy`, or `python -m pytest tests/deploy/real/run_compose.py`.

A clean clone of the repository's last commit is built and started with the commands of docs/deployment.md, asked over
HTTP and looked at with a browser; its metrics are scraped, its dashboards' queries run; the service is killed, the
database is dumped and restored; and in the end nothing is left. Needs root, podman and docker-compose, no registry.
"""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from tests.deploy.real import images
from tests.deploy.real.engine import INSTALL, missing, started
from tests.deploy.static.files import queries, without_intervals, without_macros
from tests.service.browser.conftest import CHROMIUM, FLAGS

PROJECT = "bylinetest"
PORTS = {"BYLINE_PUBLISH": "127.0.0.1:18000", "PROMETHEUS_PUBLISH": "127.0.0.1:19090"}
SERVICE, PROMETHEUS = (f"http://{address}" for address in PORTS.values())
WITHOUT_GRAFANA = "services:\n  grafana: {profiles: [absent]}\n"
QUERY = {"query": {"text": "def __init__(self"}, "k": 3, "shares": True}
ATTRIBUTIONS = "/v1/indexes/code-lm/attributions"
EVENTS = "/v1/indexes/code-lm/events"
UP, DUMP, VERIFY = (
    "deploy/up",
    "deploy/compose-command exec -T postgres pg_dump --username=byline --format=custom byline > byline.dump",
    "deploy/compose-command exec -T service byline ledger verify",
)
STOP, START = "deploy/compose-command stop service", "deploy/compose-command start service"
RESTORE = (
    "deploy/compose-command exec -T postgres pg_restore --username=byline --dbname=byline "
    "--clean --if-exists --exit-on-error < byline.dump"
)
NEW_KEY = (
    "deploy/compose-command exec -T service byline keys create laptop --person ada --scope query --scope read"
)
LOGS = "deploy/compose-command logs --tail 20 service"
DOWN = "deploy/down --volumes"


def say(line):
    """Tell whoever runs this; pytest shows it with -s."""
    sys.stdout.write(f"{line}\n")


@pytest.fixture(scope="module")
def times():
    """Seconds of each step, printed in the end.

    Yields:
        A context manager that takes a step's name.
    """
    taken = {}

    @contextlib.contextmanager
    def timed(step):
        began = time.monotonic()
        yield
        taken[step] = time.monotonic() - began

    yield timed
    say("\n" + "\n".join(f"{seconds:7.1f} s  {step}" for step, seconds in taken.items()))


@pytest.fixture(scope="module")
def deployed(tmp_path_factory, times):
    """A clean clone, built and started.

    Yields:
        What there is to ask.
    """
    if missing() or os.geteuid() != 0 or CHROMIUM is None:
        pytest.fail(
            f"expected to be root with podman, docker-compose and chromium; missing {missing()}: {INSTALL} chromium"
        )
    clone = tmp_path_factory.mktemp("clone") / "byline"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", images.ROOT.as_uri(), clone], check=True)
    documentation = (clone / "docs" / "deployment.md").read_text()
    with started(PROJECT) as engine:
        engine.environment |= PORTS | {"BYLINE_IMAGE": images.BYLINE, "BYLINE_KEY_FILE": str(clone / "key")}
        with times("base images, pulled or made (once)"):
            has_grafana = images.prepare(engine)
        with times("build of the image"):
            images.build(engine, clone)
        arguments = " --no-build"
        if not has_grafana:
            say(
                "Grafana's image cannot be pulled here, and is not made of Debian's packages: the run is without it."
            )
            (clone / "without-grafana.yaml").write_text(WITHOUT_GRAFANA)
            arguments += " -f without-grafana.yaml"

        def documented(command, more=""):
            """Run a command of the documentation, in the clone."""
            assert f"\n{command}\n" in documentation, f"not in docs/deployment.md: {command}"
            return engine.run("bash", "-c", f"cd {shlex.quote(str(clone))} && {command}{more}", seconds=900)

        with times("deploy/up until it is ready: database, migration, demo trained and indexed, service"):
            said = documented(UP, arguments)
        key = (clone / "key").read_text()
        assert said.count(key) == 2
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=SERVICE, headers=headers, timeout=60) as client:
            yield SimpleNamespace(
                engine=engine, client=client, clone=clone, key=key, documented=documented, up=arguments
            )
        with times("deploy/down --volumes"):
            documented(DOWN)
        assert engine.left() == []


def asked(client):
    answer = client.post(ATTRIBUTIONS, json=QUERY)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_query_is_answered(deployed, times):
    with times("the first query over HTTP"):
        answer = asked(deployed.client)
    assert len(answer["proponents"]) == 3
    assert all(hit["example"]["owner"] for hit in answer["proponents"])
    assert abs(sum(share["share"] for share in answer["shares"]["owners"])) > 0
    assert httpx.post(SERVICE + ATTRIBUTIONS, json=QUERY).status_code == 401


def test_the_dashboard_opens(deployed, times):
    with times("the dashboard in a browser, signed in"), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(f"{SERVICE}/login#key={deployed.key}")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{SERVICE}/")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        browser.close()


def test_containers_are_held_back(deployed):
    engine = deployed.engine
    assert engine.inside("service", "id", "-u").strip() == "10001"
    status = engine.inside("service", "cat", "/proc/1/status")
    assert re.search(r"CapEff:\s*0+\n", status)
    assert re.search(r"NoNewPrivs:\s*1\n", status)
    refused = "touch /opt/byline/x /app/x /x /indexes/x 2>/dev/null; ls /opt/byline/x /app/x /x /indexes/x 2>/dev/null; true"
    assert engine.inside("service", "sh", "-c", refused) == ""
    compilers = "for each in gcc cc g++ c++ clang ld make; do command -v $each; done; true"
    assert engine.inside("service", "sh", "-c", compilers) == ""
    assert engine.inspect("service", "{{.HostConfig.ReadonlyRootfs}}") == "true"
    assert engine.inspect("postgres", "{{len .HostConfig.PortBindings}}") == "0"
    assert '"HostIp":"127.0.0.1"' in engine.inspect("service", "{{json .HostConfig.PortBindings}}")
    environment = engine.inspect("service", "{{json .Config.Env}}")
    for secret in (deployed.clone / "deploy" / "secrets").iterdir():
        assert secret.read_text() not in environment
    size = int(engine.run("podman", "image", "inspect", images.BYLINE, "--format", "{{.Size}}"))
    base = int(engine.run("podman", "image", "inspect", images.PYTHON, "--format", "{{.Size}}"))
    say(f"\nimage: {size / 1e9:.2f} GB, of which the Python image {base / 1e9:.2f} GB")
    assert size - base < 1.6e9


def test_health_checks_run_without_curl(deployed):
    assert deployed.engine.inspect("service", "{{.State.Health.Status}}") == "healthy"


def test_events_are_booked_and_the_ledger_holds(deployed):
    for number in range(3):
        headers = {"idempotency-key": f"event-{number}"}
        booked = deployed.client.post(EVENTS, json={"query": QUERY["query"]}, headers=headers)
        assert booked.status_code == 201, booked.text
    deployed.documented(VERIFY)


def prometheus(path, **parameters):
    answer = httpx.get(f"{PROMETHEUS}/api/v1/{path}", params=parameters, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(1)
    return found


def test_prometheus_scrapes_and_its_rules_are_loaded(deployed):
    until(lambda: all(target["health"] == "up" for target in prometheus("targets")["activeTargets"]))
    targets = {target["labels"]["job"] for target in prometheus("targets")["activeTargets"]}
    assert targets == {"byline", "prometheus"}
    (group,) = prometheus("rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
    assert httpx.get(f"{SERVICE}/metrics").status_code == 401
    folder = "/etc/prometheus"
    for check in (("config", f"{folder}/prometheus.yml"), ("rules", f"{folder}/alerts.yml")):
        deployed.engine.inside("prometheus", "promtool", "check", *check)


def test_alerts_fire_when_they_should(deployed):
    text = (Path(__file__).parent / "alerts.yml").read_text()
    script = "cat > /tmp/alerts.yml && cd /tmp && promtool test rules alerts.yml"
    container = deployed.engine.container("prometheus")
    command = ["podman", "exec", "-i", container, "sh", "-c", script]
    done = subprocess.run(
        command, input=text, env=deployed.engine.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_of_the_operations_dashboard_have_data(deployed):
    def fresh():
        asked(deployed.client)
        return prometheus("query", query="sum(rate(byline_stage_seconds_count[1m])) > 0")["result"]

    until(fresh)
    empty = []
    for name, promql in queries("expr"):
        found = prometheus("query", query=without_intervals(promql))
        if not found["result"]:
            empty.append(name)
    say(f"\npanels without anything to show: {empty}")
    # Nothing was refused, switched, or failed.
    assert set(empty) <= {
        f"operations: {title}" for title in ("Refused", "Quotas", "Database", "Switches of aliases")
    }


def test_panels_of_the_compensation_dashboard_run_as_the_role_that_grafana_has(deployed):
    password = (deployed.clone / "deploy" / "secrets" / "reader_password").read_text()
    until(lambda: deployed.engine.inspect("reader", "{{.State.ExitCode}}/{{.State.Status}}") == "0/exited")

    def read(sql):
        command = "psql -h 127.0.0.1 -U byline_reader byline -v ON_ERROR_STOP=1 --csv -c"
        words = ["env", f"PGPASSWORD={password}", *command.split(), sql]
        return deployed.engine.inside("postgres", *words).splitlines()

    for name, sql in queries("rawSql"):
        lines = read(without_macros(sql))
        if name == "compensation: Events":
            assert lines[1] == "3"
    with pytest.raises(AssertionError, match="permission denied"):
        read("SELECT digest FROM keys")
    with pytest.raises(AssertionError, match=r"read-only|permission denied"):
        read("DELETE FROM events")


def test_other_keys_can_be_made(deployed):
    key = deployed.documented(NEW_KEY).strip()
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(SERVICE + ATTRIBUTIONS, json=QUERY, headers=headers, timeout=60).status_code == 200
    assert httpx.get(f"{SERVICE}/v1/audit", headers=headers).status_code == 403


def ready():
    try:
        return httpx.get(f"{SERVICE}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_killed_service_comes_back(deployed, times):
    before = asked(deployed.client)
    os.kill(int(deployed.engine.inspect("service", "{{.State.Pid}}")), 9)
    with times("back after kill -9"):
        until(lambda: not ready(), 30)
        until(ready)
    after = asked(deployed.client)
    assert [hit["score"] for hit in after["proponents"]] == [hit["score"] for hit in before["proponents"]]
    assert len(deployed.client.get(EVENTS).json()["data"]) == 3
    logs = deployed.documented(LOGS)
    assert QUERY["query"]["text"] not in logs


def test_the_database_goes_and_comes_back(deployed):
    deployed.engine.run("podman", "pause", deployed.engine.container("postgres"))
    try:
        assert asked(deployed.client)["proponents"]
        until(lambda: not ready())
    finally:
        deployed.engine.run("podman", "unpause", deployed.engine.container("postgres"))
    until(ready)


def test_a_backup_is_restored(deployed, times):
    with times("backup and restore"):
        deployed.documented(DUMP)
        extra = deployed.client.post(
            EVENTS, json={"query": QUERY["query"]}, headers={"idempotency-key": "later"}
        )
        assert extra.status_code == 201
        deployed.documented(STOP)
        deployed.documented(RESTORE)
        deployed.documented(START)
        until(ready)
    assert len(deployed.client.get(EVENTS).json()["data"]) == 3
    deployed.documented(VERIFY)


def test_starting_again_changes_nothing(deployed, times):
    with times("deploy/up again: nothing to do"):
        said = deployed.documented(UP, deployed.up)
    assert "shown this once" not in said
    assert asked(deployed.client)["proponents"]
    assert len(deployed.client.get(EVENTS).json()["data"]) == 3


def test_sigterm_ends_it_in_order(deployed):
    deployed.documented(STOP)
    assert deployed.engine.inspect("service", "{{.State.ExitCode}}") == "0"
    assert not ready()
