"""What a cluster would be given as a whole: rendered, valid, and referring to nothing that is not there."""

import ipaddress
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from manifests import PARTS, ROOT, SERVERS, SERVICES, Manifest, Part, of_kind, tool
from typer.testing import CliRunner

from exchange.services.deployment_secrets import secrets_app
from exchange.services.tracing import is_wanted

OVERLAYS = ("local", "current", "gke")
RENDERED = (".", *(f"overlays/{name}" for name in OVERLAYS))
FOREIGN = ("gateway.networking.k8s.io/", "networking.gke.io/")
"""Kinds that a cluster has only where somebody installed them; their schemas are not at hand."""

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed"
)
every_rendering = pytest.mark.parametrize("folder", RENDERED)


@cache
def rendered(folder: str) -> tuple[Manifest, ...]:
    """What `kubectl apply -k` would send."""
    done = subprocess.run(
        ["kubectl", "kustomize", folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def named(found: tuple[Manifest, ...], kind: str) -> dict[str, Manifest]:
    return {
        manifest["metadata"]["name"]: manifest for manifest in found if manifest["kind"] == kind
    }


@cache
def secrets() -> dict[str, dict[str, str]]:
    """Those that `exchange secrets kubernetes` makes."""
    printed = CliRunner().invoke(secrets_app, ["kubernetes"]).stdout
    return {one["metadata"]["name"]: one["stringData"] for one in yaml.safe_load_all(printed)}


def template(deployment: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return found


# --- Rendered -------------------------------------------------------------------------------------


@needs_kubectl
def test_everything_that_would_be_applied_is_valid(tmp_path: Path) -> None:
    paths = []
    for folder in RENDERED:
        for number, manifest in enumerate(rendered(folder)):
            if not manifest["apiVersion"].startswith(FOREIGN):
                paths.append(tmp_path / f"{folder.replace('/', '-')}-{number}.yml")
                paths[-1].write_text(yaml.safe_dump(manifest), "utf-8")

    result = tool("kubernetes-validate", "--strict", "-k", "1.32.0", *paths)

    assert result.returncode == 0, result.stdout + result.stderr


@needs_kubectl
@every_rendering
def test_whatever_a_pod_refers_to_is_applied_with_it(folder: str) -> None:
    found = rendered(folder)
    config_maps, claims = named(found, "ConfigMap"), named(found, "PersistentVolumeClaim")

    for deployment in named(found, "Deployment").values():
        spec = template(deployment)
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            for variable in container.get("env", []):
                source = variable.get("valueFrom", {})
                if reference := source.get("secretKeyRef"):
                    assert reference["key"] in secrets()[reference["name"]]
                if reference := source.get("configMapKeyRef"):
                    assert reference["key"] in config_maps[reference["name"]]["data"]
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted <= {volume["name"] for volume in spec["volumes"]}
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in config_maps
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets()
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims


@needs_kubectl
@every_rendering
def test_every_claim_belongs_to_a_pod(folder: str) -> None:
    found = rendered(folder)

    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for deployment in named(found, "Deployment").values()
        for volume in template(deployment)["volumes"]
        if "persistentVolumeClaim" in volume
    }

    assert used == set(named(found, "PersistentVolumeClaim"))


@needs_kubectl
@every_rendering
def test_selectors_find_pods(folder: str) -> None:
    found = rendered(folder)
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in named(found, "Deployment").values()]  # fmt: skip

    selectors = [service["spec"]["selector"] for service in named(found, "Service").values()]
    for kind in ("PodDisruptionBudget", "Deployment"):
        selectors += [one["spec"]["selector"]["matchLabels"] for one in named(found, kind).values()]
    selectors += [
        one["spec"]["podSelector"]["matchLabels"] for one in named(found, "NetworkPolicy").values()
    ]

    assert len(selectors) > len(pods)
    for selector in selectors:
        assert any(selector.items() <= labels.items() for labels in pods), selector


@needs_kubectl
@pytest.mark.parametrize("folder", [".", "overlays/current", "overlays/gke"])
def test_who_is_scaled_by_load_is_not_set_back_by_the_next_apply(folder: str) -> None:
    found = rendered(folder)
    deployments, scalers = named(found, "Deployment"), named(found, "HorizontalPodAutoscaler")

    assert set(scalers) == {"exchange-router-hpa", "exchange-ws-stream-hpa"}
    for scaler in scalers.values():
        spec = scaler["spec"]
        target = deployments[spec["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"]
        # Without a request there is nothing that 80 % could be of.
        assert all(
            container["resources"]["requests"]["cpu"]
            for container in template(target)["containers"]
        )
        assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 10)
        assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 80


@needs_kubectl
def test_the_local_cluster_scales_nothing() -> None:
    assert named(rendered("overlays/local"), "HorizontalPodAutoscaler") == {}


@needs_kubectl
def test_current_servers_have_a_volume_of_their_own_where_their_image_wants_it() -> None:
    found = rendered("overlays/current")
    spec = template(named(found, "Deployment")["exchange-postgres-deployment"])
    (container,) = spec["containers"]

    assert container["image"].startswith("postgres:18")
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/var/lib/postgresql"]["name"] == "data"
    assert "/var/lib/postgresql/data" not in mounts
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["PGDATA"] == "/var/lib/postgresql/pgdata"
    assert set(named(found, "PersistentVolumeClaim")) == {"postgres-current-pvc", "redis-pvc"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_has_the_same_parts(name: str) -> None:
    base = yaml.safe_load((ROOT / "kustomization.yml").read_text("utf-8"))
    overlay = yaml.safe_load((ROOT / "overlays" / name / "kustomization.yml").read_text("utf-8"))

    folders = [path for path in overlay["resources"] if path.startswith("../../")]
    assert [path.removeprefix("../../") for path in folders] == base["resources"]


# --- Secrets --------------------------------------------------------------------------------------


def test_the_made_secrets_have_the_keys_of_the_examples() -> None:
    examples = {
        secret["metadata"]["name"]: set(secret["stringData"])
        for part in PARTS
        for secret in of_kind(part.folder, "Secret")
    }

    assert {name: set(values) for name, values in secrets().items()} == examples


# --- Who may talk to whom -------------------------------------------------------------------------

ARROWS = {
    ("exchange-router", "exchange-postgres", 5432),
    ("exchange-router", "exchange-redis", 6379),
    ("exchange-ws-stream", "exchange-postgres", 5432),
    ("exchange-ws-stream", "exchange-redis", 6379),
    ("exchange-engine", "exchange-postgres", 5432),
    ("exchange-engine", "exchange-redis", 6379),
    ("exchange-db-processor", "exchange-postgres", 5432),
    ("exchange-db-processor", "exchange-redis", 6379),
}


def policy(part: Part) -> dict[str, Any]:
    (found,) = of_kind(part.folder, "NetworkPolicy")
    assert found["spec"]["podSelector"]["matchLabels"] == {"app": part.app}
    assert found["spec"]["policyTypes"] == ["Ingress", "Egress"]
    spec: dict[str, Any] = found["spec"]
    return spec


def test_services_reach_the_servers_and_nobody_else() -> None:
    arrows = {
        (part.app, peer["podSelector"]["matchLabels"]["app"], port["port"])
        for part in SERVICES
        for rule in policy(part)["egress"]
        for peer in rule["to"]
        for port in rule["ports"]
    }

    assert arrows == ARROWS
    assert not any(policy(part).get("egress") for part in SERVERS)


def test_servers_are_reached_by_services_and_nobody_else() -> None:
    arrows = {
        (peer["podSelector"]["matchLabels"]["app"], part.app, port["port"])
        for part in SERVERS
        for rule in policy(part)["ingress"]
        for peer in rule["from"]
        for port in rule["ports"]
    }

    assert arrows == ARROWS


@pytest.mark.parametrize("part", SERVICES, ids=lambda part: part.folder)
def test_clients_reach_the_public_port_and_prometheus_the_metrics(part: Part) -> None:
    rules = policy(part)["ingress"]

    from_anywhere = [port["port"] for rule in rules if "from" not in rule for port in rule["ports"]]
    assert from_anywhere == ([part.port] if part.port else [])
    assert [rule["ports"][0]["port"] for rule in rules if "from" in rule] == [9100]


def test_the_rest_is_denied_to_pods_of_the_exchange_only() -> None:
    deny, dns = of_kind("cluster", "NetworkPolicy")

    selector = {"matchLabels": {"app.kubernetes.io/part-of": "exchange"}}
    assert deny["spec"] == {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]}
    assert dns["spec"]["podSelector"] == selector
    (rule,) = dns["spec"]["egress"]
    assert {(port["protocol"], port["port"]) for port in rule["ports"]} == {
        ("UDP", 53),
        ("TCP", 53),
    }
    assert "to" not in rule


# --- Doors ----------------------------------------------------------------------------------------


def load(path: str) -> list[Manifest]:
    return list(yaml.safe_load_all((ROOT / path).read_text("utf-8")))


SERVICE_PORTS = {(f"{part.app}-service", port) for part in PARTS for port in part.service_ports}
DOORS = {
    "/": "exchange-router-service",
    "/ws": "exchange-ws-stream-service",
    "/stream": "exchange-ws-stream-service",
}


def test_the_ingress_leads_to_services_that_exist() -> None:
    (ingress,) = load("cluster/ingress/ingress.yml")
    (rule,) = ingress["spec"]["rules"]

    services = {path["path"]: path["backend"]["service"] for path in rule["http"]["paths"]}
    assert {(one["name"], one["port"]["number"]) for one in services.values()} <= SERVICE_PORTS
    assert {path: one["name"] for path, one in services.items()} == DOORS | {
        "/backend": "exchange-router-service"
    }
    assert {path["pathType"] for path in rule["http"]["paths"]} == {"Prefix"}


def rendered_with(component: str, folder: Path) -> tuple[Manifest, ...]:
    """An overlay that takes a component, in a copy of the tree: it has to be used by something."""
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(".*", "exchange", "tests"))
    overlay = folder / "tree/overlays/current/kustomization.yml"
    text = overlay.read_text("utf-8") + f"components: [../../cluster/{component}]\n"
    overlay.write_text(text, "utf-8")
    done = subprocess.run(
        ["kubectl", "kustomize", overlay.parent], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


@needs_kubectl
def test_limits_count_clients_and_not_the_proxy(tmp_path: Path) -> None:
    through_ingress = rendered_with("ingress", tmp_path)

    for found in (through_ingress, rendered("overlays/gke")):
        for app in ("exchange-router", "exchange-ws-stream"):
            (container,) = template(named(found, "Deployment")[f"{app}-deployment"])["containers"]
            (value,) = [
                one["value"] for one in container["env"] if one["name"] == "TRUSTED_PROXIES"
            ]
            assert all(ipaddress.ip_network(network) for network in value.split(","))


def test_the_gateway_route_leads_there_too() -> None:
    gateway, route = load("cluster/gateway/gateway.yml")

    doors = {
        match["path"]["value"]: (backend["name"], backend["port"])
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
        for backend in rule["backendRefs"]
    }
    assert set(doors.values()) <= SERVICE_PORTS
    assert DOORS.items() <= {path: name for path, (name, _) in doors.items()}.items()
    assert route["spec"]["parentRefs"] == [{"name": gateway["metadata"]["name"]}]


@needs_kubectl
def test_policies_of_the_load_balancer_are_for_the_services_behind_the_gateway() -> None:
    found = rendered("overlays/gke")

    for kind in ("HealthCheckPolicy", "GCPBackendPolicy"):
        targets = {one["spec"]["targetRef"]["name"] for one in named(found, kind).values()}
        assert targets == set(DOORS.values())


@needs_kubectl
def test_all_services_send_the_same_traces_and_may(tmp_path: Path) -> None:
    found = rendered_with("tracing", tmp_path)
    apps = {part.app for part in SERVICES}

    told = set()
    for app in apps:
        (container,) = template(named(found, "Deployment")[f"{app}-deployment"])["containers"]
        told.add(tuple(
            (one["name"], one["value"])
            for one in container["env"] if one["name"].startswith("OTEL_")
        ))  # fmt: skip
    (variables,) = told
    collector = dict(variables)["OTEL_EXPORTER_OTLP_ENDPOINT"]
    assert is_wanted(dict(variables))
    spec = named(found, "NetworkPolicy")["exchange-tracing"]["spec"]
    (chosen,) = spec["podSelector"]["matchExpressions"]
    assert set(chosen["values"]) == apps
    assert spec["egress"][0]["ports"] == [{"protocol": "TCP", "port": urlsplit(collector).port}]


def test_examples_of_other_peoples_kinds_name_what_is_here() -> None:
    (argo,) = load("cluster/examples/argo-cd.yml")
    (sealed,) = load("cluster/examples/sealed-secret.yml")
    (issuer,) = load("cluster/examples/issuer.yml")

    assert (ROOT / argo["spec"]["source"]["path"] / "kustomization.yml").is_file()
    assert set(sealed["spec"]["encryptedData"]) == set(secrets()[sealed["metadata"]["name"]])
    assert set(sealed["spec"]["encryptedData"].values()) == {"REPLACE-ME"}
    assert issuer["kind"] == "Issuer"
