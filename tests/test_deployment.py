"""Images, compose and manifests: valid by their schemas, and true to the names that operators know.

What schemas cannot see is checked here: labels and selectors, ports, and that whatever is referred
to exists in the tree.
"""

import re
from typing import Any

import pytest
import yaml
from manifests import (
    PARTS,
    RELEASE,
    ROOT,
    SERVERS,
    SERVICES,
    Part,
    compose,
    containers,
    deployment,
    of_kind,
    pod,
    tool,
)

from exchange.services.settings import Settings

SECRET_KEYS = {
    "exchange-router-secret": {
        "server_addr", "database_url", "redis_url", "admin_token", "master_key",
    },
    "exchange-ws-stream-secret": {"database_url", "redis_url"},
    "exchange-engine-secret": {"database_url", "redis_url"},
    "exchange-db-processor-secret": {"database_url", "redis_url"},
    "exchange-postgres-secret": {"password", "reader_password"},
    "exchange-redis-secret": {"password"},
}  # fmt: skip
CONFIG_KEYS = {
    "exchange-ws-stream-config": {"ws_stream_url"},
    "exchange-engine-config": {"log_level"},
    "exchange-db-processor-config": {"log_level"},
    "exchange-postgres-config": {"POSTGRES_USER", "POSTGRES_DB"},
    "exchange-postgres-first-start": {"reader.sh"},
    "exchange-redis-config": {"redis.conf", "serve.sh"},
}
CLAIMS = {"postgres-pvc": "5Gi", "redis-pvc": "5Gi"}

every_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.folder)
every_service = pytest.mark.parametrize("part", SERVICES, ids=lambda part: part.folder)
every_server = pytest.mark.parametrize("part", SERVERS, ids=lambda part: part.folder)


# --- Production -----------------------------------------------------------------------------------


def test_no_deployment_can_have_faults_on_request() -> None:
    paths = [
        path
        for pattern in ("**/*.yml", "**/Dockerfile", "Dockerfile", "**/*.sh")
        for path in ROOT.glob(pattern)
        if not path.relative_to(ROOT).parts[0].startswith(".")
    ]

    assert len(paths) > 40
    assert [
        path for path in paths if re.search(r"\bfaults?[-_]|--fault", path.read_text(), re.I)
    ] == []


# --- Schemas --------------------------------------------------------------------------------------


@every_part
def test_a_dockerfile_follows_good_practice(part: Part) -> None:
    result = tool("hadolint", ROOT / part.folder / "Dockerfile")

    assert result.returncode == 0, result.stdout


def test_every_manifest_is_valid() -> None:
    paths = [
        path
        for part in PARTS
        for path in (ROOT / part.folder).glob("*.yml")
        if path.name != "kustomization.yml"
    ]

    result = tool("kubernetes-validate", "--strict", "-k", "1.32.0", *sorted(paths))

    assert result.returncode == 0, result.stdout + result.stderr


def test_compose_is_valid() -> None:
    result = tool(
        "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "docker-compose.yml"
    )

    assert result.returncode == 0, result.stdout


def test_workflows_are_valid() -> None:
    paths = sorted((ROOT / ".github/workflows").glob("*.yml"))

    result = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *paths)

    assert paths
    assert result.returncode == 0, result.stdout


def test_the_one_image_for_everything_follows_good_practice() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")

    result = tool("hadolint", ROOT / "Dockerfile")

    assert result.returncode == 0, result.stdout
    assert "\nUSER 10001:10001\n" in text
    assert "--require-hashes" in text
    assert '\nENTRYPOINT ["exchange"]\n' in text


# --- Names, ports and images ------------------------------------------------------------------------


@every_part
def test_names_and_labels_are_the_known_ones(part: Part) -> None:
    manifest = deployment(part.folder)

    labels = {"app": part.app, "app.kubernetes.io/part-of": "exchange"}
    assert manifest["metadata"]["name"] == f"{part.app}-deployment"
    assert manifest["metadata"]["labels"] == labels
    assert manifest["spec"]["template"]["metadata"]["labels"] == labels
    assert manifest["spec"]["selector"]["matchLabels"] == {"app": part.app}
    assert manifest["spec"]["replicas"] == 1


@every_part
def test_a_service_leads_to_the_port_of_its_pods(part: Part) -> None:
    services = of_kind(part.folder, "Service")

    if part.port is None:
        assert services == []
        return
    (service,) = services
    ports = service["spec"]["ports"]
    assert service["metadata"]["name"] == f"{part.app}-service"
    assert service["spec"]["selector"] == {"app": part.app}
    assert tuple(port["port"] for port in ports) == part.service_ports
    assert {port["targetPort"] for port in ports} == {part.port}
    assert part.port == containers(part.folder)[-1]["ports"][0]["containerPort"]


@every_part
def test_images_have_a_fixed_tag(part: Part) -> None:
    for container in containers(part.folder):
        assert container["image"] == part.image
        assert container["imagePullPolicy"] == "IfNotPresent"


@every_service
def test_a_service_rolls_without_a_gap(part: Part) -> None:
    assert deployment(part.folder)["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


@every_server
def test_two_servers_never_share_a_volume(part: Part) -> None:
    assert deployment(part.folder)["spec"]["strategy"] == {"type": "Recreate"}


# --- What pods may do -----------------------------------------------------------------------------


@every_part
def test_pods_are_locked_down(part: Part) -> None:
    spec = pod(part.folder)

    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(part.folder):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


@every_part
def test_every_container_has_requests_and_limits(part: Part) -> None:
    for container in containers(part.folder):
        for kind in ("requests", "limits"):
            assert set(container["resources"][kind]) == {"cpu", "memory"}


def test_the_backend_may_use_what_the_original_gave_it() -> None:
    resources = containers("backend")[0]["resources"]

    assert resources["requests"]["cpu"] == "300m"
    assert resources["limits"]["cpu"] == "2000m"


@every_service
def test_probes_ask_the_metrics_port(part: Part) -> None:
    (container,) = pod(part.folder)["containers"]

    assert container["startupProbe"]["httpGet"] == {"path": "/live", "port": 9100}
    assert container["livenessProbe"]["httpGet"] == {"path": "/live", "port": 9100}
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 9100}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 300
    assert Settings().metrics_addr == "0.0.0.0:9100"
    assert 9100 in {port["containerPort"] for port in container["ports"]}


@every_server
def test_probes_of_servers_ask_the_server(part: Part) -> None:
    (container,) = pod(part.folder)["containers"]

    assert container["readinessProbe"]["exec"]["command"]
    assert container["livenessProbe"]["tcpSocket"] == {"port": part.port}


# --- What is referred to exists ---------------------------------------------------------------------


def test_secrets_have_the_keys_that_pods_read() -> None:
    found = {
        secret["metadata"]["name"]: set(secret["stringData"])
        for part in PARTS
        for secret in of_kind(part.folder, "Secret")
    }

    assert found == SECRET_KEYS


def test_example_secrets_hold_nothing_usable() -> None:
    for part in PARTS:
        for secret in of_kind(part.folder, "Secret"):
            for key, value in secret["stringData"].items():
                assert "REPLACE-ME" in value or key == "server_addr", key


def test_secrets_are_no_resource_of_a_kustomization() -> None:
    for part in PARTS:
        (kustomization,) = of_kind(part.folder, "Kustomization")
        assert not [name for name in kustomization["resources"] if "secret" in name]


def test_config_maps_have_the_known_keys() -> None:
    assert config_maps() == CONFIG_KEYS


def config_maps() -> dict[str, set[str]]:
    """Written ones, and those that kustomize makes of files."""
    found: dict[str, set[str]] = {}
    for part in PARTS:
        for manifest in of_kind(part.folder, "ConfigMap"):
            found[manifest["metadata"]["name"]] = set(manifest["data"])
        for kustomization in of_kind(part.folder, "Kustomization"):
            for generator in kustomization.get("configMapGenerator", []):
                assert generator["options"]["disableNameSuffixHash"] is True
                assert all((ROOT / part.folder / name).is_file() for name in generator["files"])
                found[generator["name"]] = set(generator["files"])
    return found


@every_part
def test_every_reference_of_a_pod_exists(part: Part) -> None:
    for container in containers(part.folder):
        for variable in container.get("env", []):
            source = variable.get("valueFrom", {})
            if reference := source.get("secretKeyRef"):
                assert reference["key"] in SECRET_KEYS[reference["name"]]
            if reference := source.get("configMapKeyRef"):
                assert reference["key"] in CONFIG_KEYS[reference["name"]]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod(part.folder)["volumes"]}
    for volume in pod(part.folder)["volumes"]:
        if "secret" in volume:
            keys = {item["key"] for item in volume["secret"].get("items", [])}
            assert keys <= SECRET_KEYS[volume["secret"]["secretName"]]
        if "configMap" in volume:
            assert volume["configMap"]["name"] in CONFIG_KEYS
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in CLAIMS


@every_service
def test_variables_of_a_service_are_settings(part: Part) -> None:
    known = {name.upper() for name in Settings.__struct_fields__}

    for container in containers(part.folder):
        assert {variable["name"] for variable in container["env"]} <= known


@pytest.mark.parametrize("folder", ["backend", "websocket"])
def test_whoever_serves_clients_outside_one_machine_limits_them(folder: str) -> None:
    (container,) = pod(folder)["containers"]
    variables = {one["name"]: one.get("value") for one in container["env"]}

    assert variables["RATE_LIMITS"] == "binance"
    assert compose()["services"][folder]["environment"]["RATE_LIMITS"] == "binance"


def test_nothing_that_is_deployed_is_for_tests() -> None:
    texts = [
        path.read_text("utf-8")
        for pattern in ("*.yml", "*/*.yml", "*/*/*.yml", "Dockerfile", "*/Dockerfile")
        for path in ROOT.glob(pattern)
    ]

    assert len(texts) > 40
    assert not [text for text in texts if "TESTING" in text or "--testing" in text]


def test_only_the_backend_has_the_master_key() -> None:
    holders = {
        secret["metadata"]["name"]
        for part in PARTS
        for secret in of_kind(part.folder, "Secret")
        if "master_key" in secret["stringData"]
    }

    assert holders == {"exchange-router-secret"}


def test_claims_are_the_known_ones() -> None:
    claims = {
        claim["metadata"]["name"]: claim["spec"]
        for part in SERVERS
        for claim in of_kind(part.folder, "PersistentVolumeClaim")
    }

    assert {
        name: spec["resources"]["requests"]["storage"] for name, spec in claims.items()
    } == CLAIMS
    assert all(spec["accessModes"] == ["ReadWriteOnce"] for spec in claims.values())


@pytest.mark.parametrize(
    ("folder", "path", "sub_path"),
    [
        ("postgres-db", "/var/lib/postgresql/data", "postgres-data"),
        ("redis", "/data", "redis-data"),
    ],
)
def test_data_lies_where_it_lay(folder: str, path: str, sub_path: str) -> None:
    (container,) = pod(folder)["containers"]

    assert {"name": "data", "mountPath": path, "subPath": sub_path} in container["volumeMounts"]


def test_connection_texts_name_services_that_exist() -> None:
    services = {
        service["metadata"]["name"]: {port["port"] for port in service["spec"]["ports"]}
        for part in PARTS
        for service in of_kind(part.folder, "Service")
    }

    for part in SERVICES:
        (secret,) = of_kind(part.folder, "Secret")
        for key in ("database_url", "redis_url"):
            host, port = re.findall(r"@([\w-]+):(\d+)", secret["stringData"][key])[0]
            assert int(port) in services[host]


def test_kustomizations_name_every_manifest() -> None:
    root = yaml.safe_load((ROOT / "kustomization.yml").read_text("utf-8"))

    assert set(root["resources"]) == {*(part.folder for part in PARTS), "cluster"}
    for part in PARTS:
        (kustomization,) = of_kind(part.folder, "Kustomization")
        files = {path.name for path in (ROOT / part.folder).glob("*.yml")}
        left_out = {"kustomization.yml", "secret.example.yml", "secret.yml"}
        assert set(kustomization["resources"]) == files - left_out


def test_redis_may_use_half_of_its_container() -> None:
    configuration = (ROOT / "redis/redis.conf").read_text("utf-8")
    limit = containers("redis")[0]["resources"]["limits"]["memory"]

    assert "\nmaxmemory 512mb\n" in configuration
    assert limit == "1Gi"
    assert compose()["services"]["redis"]["mem_limit"] == "1g"


@pytest.mark.parametrize(
    "setting", ["appendonly yes", "appendfsync always", "maxmemory-policy noeviction", 'save ""']
)
def test_redis_keeps_what_it_acknowledges(setting: str) -> None:
    assert f"\n{setting}\n" in (ROOT / "redis/redis.conf").read_text("utf-8")


# --- Images --------------------------------------------------------------------------------------------

MAY_IMPORT = {
    "backend": {"services", "redis", "postgres-db", "web", "backend"},
    "websocket": {"services", "redis", "postgres-db", "websocket"},
    "engine": {"services", "redis", "postgres-db", "engine"},
    "db-processor": {"services", "redis", "postgres-db", "db-processor"},
}


@every_service
def test_an_image_holds_only_what_its_service_may_import(part: Part) -> None:
    text = (ROOT / part.folder / "Dockerfile").read_text("utf-8")

    (copied,) = re.findall(r"^COPY ((?:[\w-]+/exchange )+)/app/exchange/$", text, re.MULTILINE)
    assert {path.split("/")[0] for path in copied.split()} == MAY_IMPORT[part.folder]


@every_service
def test_an_image_runs_its_service_as_nobody_special(part: Part) -> None:
    text = (ROOT / part.folder / "Dockerfile").read_text("utf-8")

    package = part.folder.replace("-", "_")
    assert f'\nENTRYPOINT ["python", "-m", "exchange.{package}"]\n' in text
    assert "\nUSER 10001:10001\n" in text
    assert "--require-hashes" in text
    assert "HEALTHCHECK" in text
    if part.port is not None:
        assert f"\nEXPOSE {part.port} 9100\n" in text


@every_server
def test_a_server_is_the_upstream_image_with_our_configuration(part: Part) -> None:
    text = (ROOT / part.folder / "Dockerfile").read_text("utf-8")

    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == [part.image]


def test_the_service_images_differ_only_where_they_must() -> None:
    stages = {
        (ROOT / part.folder / "Dockerfile").read_text("utf-8").split("\nFROM ")[1]
        for part in SERVICES
    }

    assert len(stages) == 1


def test_nothing_enters_an_image_by_accident() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()

    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert not any(".git" in rule or "secret" in rule for rule in rules if rule.startswith("!"))


# --- Compose ---------------------------------------------------------------------------------------------


def test_compose_runs_every_part() -> None:
    assert set(compose()["services"]) == {
        "init", "migrate", "postgres", "redis", "engine", "db-processor", "backend", "websocket",
        "demo", "prometheus", "grafana",
    }  # fmt: skip


def test_compose_runs_the_images_that_are_built_here_and_builds_what_is_missing() -> None:
    for name, service in compose()["services"].items():
        if "profiles" in service:
            continue
        tag = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["image"])
        assert RELEASE in tag, name
        assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_compose_opens_ports_on_this_machine_only() -> None:
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_compose_starts_by_health() -> None:
    services = compose()["services"]

    for name in ("engine", "db-processor", "backend", "websocket", "postgres", "redis"):
        assert services[name]["healthcheck"]["test"], name
        assert services[name]["depends_on"], name
    for service in services.values():
        if "profiles" in service:
            continue
        for needed, how in service.get("depends_on", {}).items():
            one_shot = needed in ("init", "migrate")
            wanted = "service_completed_successfully" if one_shot else "service_healthy"
            assert how["condition"] == wanted, needed


def test_compose_gives_each_service_its_own_secrets() -> None:
    definition = compose()

    for name, service in definition["services"].items():
        for mount in service.get("volumes", []):
            volume, path, *options = mount.split(":")
            if volume.startswith("./"):
                assert (ROOT / volume).exists()
                continue
            assert volume in definition["volumes"]
            if volume.endswith("-secrets") and name != "init":
                owner = {"migrate": "db-processor", "demo": "backend"}.get(name, name)
                assert (volume, path, options) == (
                    f"{owner}-secrets", "/run/secrets/exchange", ["ro"],
                )  # fmt: skip


def test_variables_in_compose_are_settings() -> None:
    known = {name.upper() for name in Settings.__struct_fields__}

    for name in ("migrate", "engine", "db-processor", "backend", "websocket"):
        variables = compose()["services"][name]["environment"]
        assert {variable.removesuffix("_FILE") for variable in variables} <= known | {
            "MASTER_KEY", "OTEL_EXPORTER_OTLP_ENDPOINT",
        }, name  # fmt: skip


def test_strangers_get_in_where_the_market_is_simulated_and_nowhere_else() -> None:
    variables = compose()["services"]["backend"]["environment"]
    lines = (ROOT / "demo.env").read_text("utf-8").splitlines()
    demo = dict(line.split("=") for line in lines if not line.startswith("#"))

    assert variables["REGISTRATION"] == "${REGISTRATION:-closed}"
    assert variables["TEST_FUNDS"] == "${TEST_FUNDS:-off}"
    assert demo == {"COMPOSE_PROFILES": "demo", "REGISTRATION": "open", "TEST_FUNDS": "on"}


class _Overriding(yaml.SafeLoader):
    """Knows the two words by which a compose file takes something back."""


_Overriding.add_constructor("!reset", lambda loader, node: None)
_Overriding.add_constructor("!override", lambda loader, node: _sequence(loader, node))


def _sequence(loader: Any, node: yaml.Node) -> list[Any]:
    assert isinstance(node, yaml.SequenceNode)
    found: list[Any] = loader.construct_sequence(node)
    return found


def test_current_servers_have_volumes_of_their_own_and_the_same_secrets() -> None:
    text = (ROOT / "docker-compose.current.yml").read_text("utf-8")
    current = yaml.load(text, _Overriding)
    base = compose()

    assert set(current["services"]) == {"postgres", "redis"}
    for name, service in current["services"].items():
        assert service["build"] is None
        before = {mount.split(":")[0] for mount in base["services"][name]["volumes"]}
        after = {mount.split(":")[0] for mount in service["volumes"]}
        (own,) = after & set(current["volumes"])
        assert own not in base["volumes"]
        assert before & after == {f"{name}-secrets"}
        assert all((ROOT / path).is_file() for path in after if path.startswith("./"))
    assert current["services"]["postgres"]["environment"]["PGDATA"].startswith(
        current["services"]["postgres"]["volumes"][0].split(":")[1]
    )
