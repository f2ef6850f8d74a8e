"""What tests ask about PromQL: the metrics that it names, whether they exist, and what promtool says."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from tests.chart.objects import Object

from switchyard.routing.monitor.shared_file import ServerGauges
from switchyard.telemetry.exporter import SharedCounters
from switchyard.telemetry.gauges import reference_gauges
from switchyard.telemetry.gauges.reference_gauges import ReferenceGauges
from switchyard.telemetry.metrics import layout

# Metrics that the service does not export: of Prometheus itself, and of kube-state-metrics.
OF_OTHERS = {"up", "kube_job_failed"}

# Labels that do not come from the service, `le` of buckets, and `vendor`, which differs between environments.
OF_TARGETS = {"namespace", "job", "instance", "le", "vendor"}

_TEXT = re.compile(r'"[^"]*"')
_NOT_NAMES = re.compile(
    r"\{[^{}]*\}|\[[^][]*\]"  # selectors and ranges
    r"|\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)"
    r"|\b[a-z_]+(?=\s*\(|\s+(by|without)\b)"  # functions and aggregations
    r"|\b(and|or|unless)\b"
)
_NAME = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*")
_SELECTOR = re.compile(r'(\w+)\{((?:[^{}"]|"[^"]*")*)\}')
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_SUFFIX = re.compile(r"_(bucket|sum|count)$")


def run_promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, or skip the test."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed (Debian's package is prometheus)")
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)


def check_groups(groups: list[Object], directory: Path) -> None:
    """Fail if promtool refuses the groups of rules, which it reads from a file in the directory."""
    file = directory / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}))
    ran = run_promtool("check", "rules", file)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def check_expressions(expressions: Iterable[str], directory: Path) -> None:
    """Fail if promtool cannot parse one of the expressions."""
    rules = [{"record": f"expression:{number}", "expr": each} for number, each in enumerate(expressions)]
    check_groups([{"name": "expressions", "rules": rules}], directory)


def metrics_of(expression: str) -> set[str]:
    """Return the names of the metrics in an expression."""
    return set(_NAME.findall(_NOT_NAMES.sub(" ", _TEXT.sub("", expression))))


def unknown_labels(expression: str) -> list[str]:
    """Return the labels, and their values, that the expression asks of a counter or histogram which has none such."""
    known: dict[str, dict[str, set[str]]] = {
        family.name: {
            label: {values[number] for values in axis.values}
            for axis in family.axes
            for number, label in enumerate(axis.labels)
        }
        for family in layout().families
    }
    found = []
    for metric, matchers in _SELECTOR.findall(expression):
        labels = known.get(metric, known.get(_SUFFIX.sub("", metric)))
        for label, value in _MATCHER.findall(matchers) if labels else ():
            if label in OF_TARGETS or value.startswith("$"):
                continue
            if label not in labels or not set(value.split("|")) <= labels[label]:
                found.append(f'{metric}: {label}="{value}"')
    return found


def exported_metrics(directory: Path) -> set[str]:
    """Return the names of all samples that the service and its exporter show, whose files are in the directory."""
    owner = ServerGauges(
        vendor="postgresql",
        server_version="18",
        replica_of="",
        reason="",
        sampled_at=0.0,
        lag_seconds=1.0,
        lag_bytes=1,
        pending_migrations=1,
    )
    shown = {"default": owner, "replica": owner._replace(replica_of="default")}
    servers = {alias: gauges._asdict() for alias, gauges in shown.items()}
    (directory / "monitor-default").write_text(json.dumps({"written_at": 0.0, "servers": servers}))
    pool = {"idle": 1, "used": 0, "max": 1, "pending_requests": 0}
    (directory / "process-0").write_text(json.dumps({"written_at": time.monotonic(), "pools": {"default": pool}}))
    events = ReferenceGauges(
        "analytics.Event.user", "default", "analytics", waiting=0, set_aside=0, oldest_age_seconds=0.0
    )
    reference_gauges.write(reference_gauges.claim(directory), [events])
    gauges = {family.name for family in SharedCounters(str(directory)).collect()}
    counters = {
        name
        for family in layout().families
        for name in (
            [f"{family.name}{suffix}" for suffix in ("_bucket", "_sum", "_count")] if family.buckets else [family.name]
        )
    }
    return gauges | counters
