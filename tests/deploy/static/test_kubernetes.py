"""deploy/kubernetes/: valid against the API's schemas, and of one piece."""

import re
import shutil
import subprocess

import pytest
import yaml

from tests.deploy.static.files import DEPLOY, KUBERNETES, OVERLAYS, compose, manifests, rendered, tool


@pytest.fixture(params=OVERLAYS)
def objects(request):
    return rendered(request.param)


def of(objects, kind):
    return [each for each in objects if each["kind"] == kind]


def pods(objects):
    """Names, labels and specifications of the pods that the objects make.

    Yields:
        One after the other.
    """
    for each in objects:
        if each["kind"] == "Pod":
            yield each["metadata"]["name"], each["metadata"]["labels"], each["spec"]
        elif each["kind"] in {"Deployment", "StatefulSet", "Job"}:
            template = each["spec"]["template"]
            yield each["metadata"]["name"], template["metadata"]["labels"], template["spec"]
        elif each["kind"] == "CronJob":
            template = each["spec"]["jobTemplate"]["spec"]["template"]
            yield each["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def validate(objects, folder):
    path = folder / "manifests.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    command = [tool("kubernetes-validate"), "--strict", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_manifests_are_valid(objects, tmp_path):
    done = validate(objects, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pod_for_keys_is_valid(tmp_path):
    done = validate(list(yaml.safe_load_all((KUBERNETES / "keys.yaml").read_text())), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validator_finds_mistakes(tmp_path):
    (service, *_) = of(manifests(KUBERNETES / "base"), "Service")
    service["spec"]["portz"] = []
    assert validate([service], tmp_path).returncode != 0


def test_selectors_find_their_pods(objects):
    found = {name: labels for name, labels, _ in pods(objects)}
    every = list(found.values())
    selectors = [each["spec"]["selector"] for each in of(objects, "Service")]
    selectors += [each["spec"]["selector"]["matchLabels"] for each in of(objects, "PodDisruptionBudget")]
    for selector in selectors:
        assert sum(selector.items() <= labels.items() for labels in every) == 1
    for each in of(objects, "Deployment") + of(objects, "StatefulSet"):
        labels = found[each["metadata"]["name"]]
        assert each["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for each in of(objects, "NetworkPolicy"):
        wanted = each["spec"]["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= labels.items() for labels in every), each["metadata"]["name"]


def test_ports_are_named_alike(objects):
    names = {
        port["name"]
        for _, _, spec in pods(objects)
        for c in spec["containers"]
        for port in c.get("ports", [])
    }
    for service in of(objects, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    (deployment,) = of(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["port"] == "http"
    for ingress in of(objects, "Ingress"):
        (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
        (service,) = [s for s in of(objects, "Service") if s["metadata"]["name"] == "byline"]
        assert path["backend"]["service"]["name"] == "byline"
        assert path["backend"]["service"]["port"]["name"] in {p["name"] for p in service["spec"]["ports"]}


def test_what_is_mounted_is_declared(objects):
    claims = {each["metadata"]["name"] for each in of(objects, "PersistentVolumeClaim")}
    accounts = {each["metadata"]["name"] for each in of(objects, "ServiceAccount")}
    maps = {each["metadata"]["name"] for each in of(objects, "ConfigMap")}
    for name, _, spec in pods(objects):
        volumes = {volume["name"] for volume in spec["volumes"]}
        templates = [
            each for each in objects if each["metadata"]["name"] == name and each["kind"] == "StatefulSet"
        ]
        volumes |= {v["metadata"]["name"] for each in templates for v in each["spec"]["volumeClaimTemplates"]}
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        for volume in spec["volumes"]:
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "byline-library") in claims
            secret = volume.get("secret", {"secretName": "byline", "items": []})
            assert secret["secretName"] == "byline"
            assert {item["key"] for item in secret["items"]} <= set(compose()["secrets"])
            if "configMap" in volume and shutil.which("kubectl"):
                assert volume["configMap"]["name"] in maps
        assert spec.get("serviceAccountName", "byline") in accounts


def test_pods_meet_the_restricted_standard(objects):
    keys = list(yaml.safe_load_all((KUBERNETES / "keys.yaml").read_text()))
    for name, _, spec in pods(objects + keys):
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert container["resources"]["requests"]["cpu"]


def test_no_secret_is_in_a_manifest(objects):
    assert not of(objects, "Secret")
    for _, _, spec in pods(objects):
        for container in spec["containers"]:
            for variable in container.get("env", []):
                assert not any(word in variable["name"] for word in ("URL", "TOKEN")), variable
                assert not variable["name"].endswith("PASSWORD")


def test_the_migration_alone_has_the_role_that_owns_the_tables(objects):
    keys = list(yaml.safe_load_all((KUBERNETES / "keys.yaml").read_text()))
    having = {
        name
        for name, _, spec in pods(objects + keys)
        for volume in spec["volumes"]
        for item in volume.get("secret", {}).get("items", [])
        if item["key"] in {"byline_migration_database_url", "postgres_password"}
    }
    assert having <= {"byline-migrate", "postgres"}
    assert "byline-migrate" in having


def test_probes_reach_the_service_under_a_name_that_it_answers_to(objects):
    (deployment,) = of(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    names = [variable["name"] for variable in container["env"]]
    hosts = next(v["value"] for v in container["env"] if v["name"] == "BYLINE_ALLOWED_HOSTS")
    assert "$(POD_IP)" in hosts
    for name in ("POD_IP", "PUBLIC_HOST"):  # only what stands before can be referred to
        assert names.index(name) < names.index("BYLINE_ALLOWED_HOSTS")
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 600
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= 40


def test_the_ledger_is_verified_and_the_database_copied_on_a_schedule(objects):
    found = {each["metadata"]["name"]: each["spec"] for each in of(objects, "CronJob")}
    assert set(found) == {"byline-verify", "byline-backup"}
    scripts = next(each["data"] for each in of(objects, "ConfigMap") if "backup" in each["data"])
    for name, spec in found.items():
        assert re.fullmatch(r"\d+ \d+ \* \* \*", spec["schedule"])
        assert spec["concurrencyPolicy"] == "Forbid"
        (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["command"][1].removeprefix("/schedule/") in scripts
        assert container["command"][1] == f"/schedule/{name.removeprefix('byline-')}"
    assert found["byline-verify"]["jobTemplate"]["spec"]["backoffLimit"] == 0


def test_the_database_is_reached_by_what_needs_it(objects):
    (policy,) = [
        each for each in of(objects, "NetworkPolicy") if each["metadata"]["name"] == "byline-database"
    ]
    (_, components) = policy["spec"]["podSelector"]["matchExpressions"]
    needing = {
        labels["app.kubernetes.io/component"]
        for _, labels, spec in pods(objects)
        for volume in spec["volumes"]
        for item in volume.get("secret", {}).get("items", [])
        if item["key"] == "byline_database_url"
    }
    assert needing == set(components["values"]) - {"keys"}


def test_the_proxy_limits_each_address():
    ingress = yaml.safe_load((KUBERNETES / "overlays" / "production" / "ingress.yaml").read_text())
    notes = ingress["metadata"]["annotations"]
    for limit in ("limit-rps", "limit-connections", "limit-burst-multiplier"):
        assert int(notes[f"nginx.ingress.kubernetes.io/{limit}"]) > 0
    nginx = (DEPLOY / "proxy" / "nginx.conf").read_text()
    zones = dict(
        re.findall(
            r"^limit_(?:req|conn)_zone \$binary_remote_addr zone=(\w+):\d+m( rate=\d+r/[sm])?;",
            nginx,
            re.MULTILINE,
        )
    )
    assert set(re.findall(r"limit_req zone=(\w+) ", nginx)) == {name for name, rate in zones.items() if rate}
    assert set(re.findall(r"limit_conn (\w+) \d+;", nginx)) == {
        name for name, rate in zones.items() if not rate
    }
    for location in re.findall(r"location [^{]*\{(.*?)\n  \}", nginx, re.DOTALL):
        assert "limit_req zone=" in location
    assert nginx.count("{") == nginx.count("}")


def test_one_indexer_and_one_migration(objects):
    jobs = {each["metadata"]["name"]: each["spec"] for each in of(objects, "Job")}
    assert set(jobs) == {"byline-migrate", "byline-indexer"}
    assert jobs["byline-indexer"]["parallelism"] == 1
    assert jobs["byline-indexer"]["completions"] == 1


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="overlays' patches need kubectl")
def test_overlays_differ_as_they_say():
    local, production, gpu = (rendered(name) for name in OVERLAYS)
    assert not of(local, "HorizontalPodAutoscaler")
    assert len(of(production, "HorizontalPodAutoscaler")) == len(of(gpu, "HorizontalPodAutoscaler")) == 1
    (ingress,) = of(production, "Ingress")
    (deployment,) = of(production, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    values = {v["name"]: v.get("value") for v in container["env"]}
    assert (
        values["PUBLIC_HOST"] == ingress["spec"]["rules"][0]["host"] == ingress["spec"]["tls"][0]["hosts"][0]
    )
    for _, _, spec in pods(gpu):
        assert all(
            c["image"].endswith("-gpu")
            for c in [*spec["containers"], *spec.get("initContainers", [])]
            if c["name"] != "backup"  # of PostgreSQL
        )
    wants = [c["resources"]["limits"].get("nvidia.com/gpu") for _, _, s in pods(gpu) for c in s["containers"]]
    assert wants.count(1) == 2
    (policy,) = [p for p in of(production, "NetworkPolicy") if p["metadata"]["name"] == "byline-database"]
    assert policy["spec"]["egress"][1]["to"]


def test_indexes_are_delivered_whole(tmp_path):
    library, replica = tmp_path / "library", tmp_path / "replica"
    deliver = ["sh", str(KUBERNETES / "base" / "deliver"), str(library), str(replica)]
    for version in ("aaaa", "bbbb"):
        (library / "main" / "index" / version / "member").mkdir(parents=True)
        (library / "main" / "index" / version / "member" / "vectors").write_bytes(b"\x00" * 1000)
    (library / "main" / "index" / "aaaa" / "manifest.json").write_text("{}")
    (library / "main" / "index" / "current").write_text("aaaa")
    (library / "main" / "task.py").write_text("task = 1")
    subprocess.run(deliver, check=True)
    index = replica / "main" / "index"
    assert sorted(path.name for path in index.iterdir()) == ["aaaa", "current"]  # bbbb is still being built
    assert (index / "aaaa" / "member" / "vectors").read_bytes() == b"\x00" * 1000
    assert (replica / "main" / "task.py").read_text() == "task = 1"
    (index / ".delivering-bbbb").mkdir()  # as a copy that was killed leaves it
    (library / "main" / "index" / "bbbb" / "manifest.json").write_text("{}")
    (library / "main" / "index" / "current").write_text("bbbb")
    subprocess.run(deliver, check=True)
    assert sorted(path.name for path in index.iterdir()) == ["aaaa", "bbbb", "current"]
    assert (index / "current").read_text() == "aaaa"  # which version answers is the alias' business


def delivered(library, replica):
    subprocess.run(["sh", str(KUBERNETES / "base" / "deliver"), str(library), str(replica)], check=True)
    return replica / "main"


def finished(library, version):
    folder = library / "main" / "index" / version
    folder.mkdir(parents=True)
    (folder / "vectors").write_text(version)
    (folder / "manifest.json").write_text(version)


def test_a_delivery_is_one_bundle_that_never_changes(tmp_path):
    library, replica = tmp_path / "library", tmp_path / "replica"
    finished(library, "aaaa")
    task, weights = library / "main" / "task.py", library / "main" / "weights" / "model"
    weights.parent.mkdir()
    for path in (task, weights):
        path.write_text("first")
    main = delivered(library, replica)
    first = main.resolve()
    assert len(first.name) == 64
    for path in (task, weights):
        path.write_text("second")
    assert delivered(library, replica).resolve() == first, "the Task's index is not built yet"
    assert (main / "task.py").read_text() == "first"
    finished(library, "bbbb")
    (replica / ".bundles" / "main" / ".part").mkdir()  # as a copy that was killed leaves it
    second = delivered(library, replica).resolve()
    assert second != first
    assert [(main / name).read_text() for name in ("task.py", "weights/model")] == ["second"] * 2
    assert sorted(path.name for path in (main / "index").iterdir()) == ["aaaa", "bbbb"]
    assert (first / "task.py").read_text() == "first"
    shared = [(bundle / "index" / "aaaa" / "vectors").stat().st_ino for bundle in (first, second)]
    assert shared[0] == shared[1]
    finished(library, "cccc")
    third = delivered(library, replica).resolve()
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([second.name, third.name])
    assert delivered(library, replica).resolve() == third


def test_replicas_with_the_same_library_have_the_same_bundle(tmp_path):
    finished(tmp_path / "library", "aaaa")
    (tmp_path / "library" / "main" / "task.py").write_text("task")
    one, other = (delivered(tmp_path / "library", tmp_path / name).resolve() for name in ("one", "other"))
    assert one.name == other.name
