"""Dashboards and alerts ask for what is there: metrics that the service has, tables that the database has."""

import re
from datetime import UTC, datetime

import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.static.files import DEPLOY, ROOT, compose, panels, queries, without_macros

RULES = [
    r
    for g in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for r in g["rules"]
]
EXPRESSIONS = queries("expr") + [(f"alert {rule['alert']}", rule["expr"]) for rule in RULES]
OF_PROMETHEUS = {"up"}
SCRAPED = {"instance", "job", "le", "severity"}
"""Labels that Prometheus and histograms add."""


@pytest.fixture
def scraped(served):
    """What a service shows that has answered something: names of samples, and their labels."""
    client = served.client
    width = client.get("/v1/indexes/fake").json()["width"]
    assert client.post("/v1/indexes/fake/attributions", json={"feature": [0.1] * width}).status_code == 200
    assert client.get("/v1/indexes").status_code == 200
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        found[family.name] = set()
        if family.type == "counter":
            found[f"{family.name}_total"] = set()
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    for collector in served.app.state.service.metrics.registry._collector_to_names:
        for name in collector.describe() if hasattr(collector, "_labelnames") else ():
            found.setdefault(name.name, set()).update(
                collector._labelnames
            )  # also of what was never counted yet
    return found


def names_in(promql):
    return set(
        re.findall(
            r"\b(?:byline|process|python|up)(?:_\w+)?\b(?=[\[{\s)]|$)", re.sub(r'"[^"]*"', '""', promql)
        )
    )


def labels_in(promql):
    plain = re.sub(r'"[^"]*"', '""', promql)
    grouped = [
        word for words in re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", plain) for word in words.split(",")
    ]
    matched = [
        word for words in re.findall(r"\{([^}]*)\}", plain) for word in re.findall(r"(\w+)\s*(?:=|!)", words)
    ]
    return {word.strip() for word in [*grouped, *matched]}


def test_dashboards_and_alerts_ask_for_metrics_that_exist(scraped):
    for where, promql in EXPRESSIONS:
        names = names_in(promql)
        assert names, where
        unknown = names - set(scraped) - OF_PROMETHEUS
        assert not unknown, f"{where}: {unknown}"


def test_dashboards_and_alerts_ask_for_labels_that_exist(scraped):
    exist = set().union(*scraped.values()) | SCRAPED
    for where, promql in EXPRESSIONS:
        assert labels_in(promql) <= exist, where


PROBES = {"/livez", "/readyz", "/metrics"}


def test_no_probe_and_no_scrape_counts_as_a_request(served):
    counted = [
        (where, promql) for where, promql in EXPRESSIONS if where.startswith("alert") or "/ sum" in promql
    ]
    found = 0
    for where, promql in counted:
        for selector in re.findall(r"byline_request(?:s_total|_seconds\w*)(?:\{([^}]*)\})?", promql):
            found += 1
            without = re.search(r'route!~"([^"]*)"', selector)
            only = re.search(r'route=~"([^"]*)"', selector)
            assert without or only, where
            for probe in PROBES:
                assert (
                    re.fullmatch(without.group(1), probe)
                    if without
                    else not re.fullmatch(only.group(1), probe)
                )
    assert found >= 7
    for probe in PROBES:
        assert served.client.get(probe).status_code in {200, 503}


def test_a_metric_that_nobody_has_is_noticed(scraped):
    assert names_in("sum by (le) (rate(byline_nothing_total[5m])) / byline_requests_inside > 3") == {
        "byline_nothing_total",
        "byline_requests_inside",
    }
    assert labels_in('sum by (le, stage) (rate(x{route=~".*", a!="b"}[5m]))') == {"le", "stage", "route", "a"}
    assert "byline_nothing_total" not in scraped


def test_panels_use_the_data_sources_that_are_provisioned():
    path = DEPLOY / "grafana" / "provisioning" / "datasources" / "byline.yaml"
    sources = {each["uid"]: each for each in yaml.safe_load(path.read_text())["datasources"]}
    for name, panel in panels():
        assert panel["datasource"]["uid"] in sources, name
        assert sources[panel["datasource"]["uid"]]["type"] == panel["datasource"]["type"]
        assert panel["description"], name
        assert [target["datasource"] for target in panel["targets"]] == [panel["datasource"]] * len(
            panel["targets"]
        )
    assert sources["byline-prometheus"]["url"] == "http://prometheus:9090"
    assert sources["byline-postgresql"]["url"] == "postgres:5432"
    assert {"prometheus", "postgres"} <= set(compose()["services"])


def test_panels_do_not_overlap():
    for path in {name.partition(":")[0] for name, _ in panels()}:
        taken = set()
        for name, panel in panels():
            if name.startswith(path):
                place = panel["gridPos"]
                cells = {
                    (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
                }
                assert not cells & taken, name
                assert max(x for x, _ in cells) < 24
                taken |= cells


def test_every_alert_has_a_section_of_the_documentation():
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for rule in RULES:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/deployment.md"
        assert anchor in anchors
        assert anchor == rule["alert"].lower()


@pytest.fixture
def reader(postgres, migrated_template):
    """A database at the newest revision, as Grafana's role sees it.

    Yields:
        The connection.
    """
    name = postgres.fresh(migrated_template)
    with psycopg.connect(postgres.url(name), autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS byline_reader")
        connection.execute("CREATE ROLE byline_reader")
        script = (DEPLOY / "postgres" / "reader.sql").read_text()
        for grant in re.findall(r"^GRANT [^;]*;", script, re.MULTILINE):
            connection.execute(grant)
        connection.execute("SET ROLE byline_reader")
        yield connection
        connection.execute("RESET ROLE")
        connection.execute("DROP OWNED BY byline_reader")
        connection.execute("DROP ROLE byline_reader")
    postgres.drop(name)


def test_every_panel_of_the_database_runs(reader):
    found = queries("rawSql")
    assert found
    for where, sql in found:
        cursor = reader.execute(without_macros(sql))
        columns = [each.name for each in cursor.description]
        assert len(set(columns)) == len(columns), where
        for row in cursor.fetchall():
            assert all(
                not isinstance(value, datetime) or value.tzinfo is UTC or value.tzinfo for value in row
            )


def test_grafana_reads_nothing_of_keys_but_their_names(reader):
    for forbidden in (
        "SELECT digest FROM keys",
        "SELECT * FROM audit",
        "DELETE FROM events",
        "SELECT * FROM journal",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(forbidden)
