"""Alerts and dashboards: they ask for metrics that exist, and each alert fires when it should."""

import importlib
import json
import re
import shutil
import subprocess

import prometheus_client
import pytest
import yaml
from manifests import ROOT, SERVICES, compose

MONITORING = ROOT / "monitoring"
ALERTS = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
NAME = re.compile(r"\b((?:exchange|process)_[a-z_]+)\b")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed: it is in Debian's package prometheus",
)


def metrics() -> set[str]:
    """The names that our processes have on `/metrics`."""
    found: set[str] = set()
    for part in SERVICES:
        # The module that runs a service imports whatever measures something in it.
        importlib.import_module(f"exchange.{part.folder.replace('-', '_')}.service")
    for metric in prometheus_client.REGISTRY.collect():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        found |= {metric.name + end for end in ends.get(metric.type, [""])}
    return found


def test_whatever_is_asked_for_is_measured() -> None:
    asked = {name for rule in RULES for name in NAME.findall(rule["expr"])}
    dashboard = json.loads((MONITORING / "dashboards/exchange.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            asked |= set(NAME.findall(target["expr"]))

    assert len(asked) > 25
    assert asked - metrics() == set()


def test_every_alert_has_its_runbook() -> None:
    text = (ROOT / "docs/runbooks.md").read_text("utf-8")

    headings = re.findall(r"^## (\w+)$", text, re.MULTILINE)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


def test_every_alert_is_seen_to_fire() -> None:
    tests = (MONITORING / "alerts.test.yml").read_text("utf-8")

    assert {rule["alert"] for rule in RULES} == set(re.findall(r'alertname="(\w+)"', tests))


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts.test.yml"],
        cwd=MONITORING,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_configuration_of_prometheus_is_valid() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", "prometheus.yml"],
        cwd=MONITORING,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_operator_gets_the_same_alerts() -> None:
    rule = yaml.safe_load((MONITORING / "prometheus-rule.yml").read_text("utf-8"))

    assert rule["spec"] == ALERTS


def test_compose_asks_every_service() -> None:
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))

    asked = {
        target
        for job in configuration["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert asked == {f"{part.folder}:9100" for part in SERVICES}
    assert {part.folder for part in SERVICES} <= set(compose()["services"])
