"""The alerts of the chart: promtool accepts and tries them, each has a page, and their metrics exist."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chart.objects import CHART, Object, Render, of_kind
from tests.chart.promql import (
    OF_OTHERS,
    check_expressions,
    check_groups,
    exported_metrics,
    metrics_of,
    run_promtool,
    unknown_labels,
)
from tests.support.documents import ROOT, blocks

RULES = sorted((CHART / "files" / "alerts").glob("*.yaml"))
CASES = sorted((Path(__file__).parent / "alerts").glob("*.yaml"))
RUNBOOKS = ROOT / "docs" / "runbooks"


def rules_of(groups: list[Object]) -> list[Object]:
    """Return the rules of the groups."""
    return [rule for group in groups for rule in group["rules"]]


def groups_of(path: Path) -> list[Object]:
    """Return the groups of a file of rules."""
    groups: list[Object] = yaml.safe_load(path.read_text())["groups"]
    return groups


ALL = rules_of([group for path in RULES for group in groups_of(path)])
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
RECORDS = {rule["record"] for rule in ALL if "record" in rule}
RETIRING = {"SwitchyardRetiringAliasQueried"}


def rendered_rule(render: Render, **given: Any) -> Object:
    """Return the PrometheusRule of a release with these values."""
    (found,) = of_kind(render({"metrics": {"prometheusRule": {"enabled": True, **given}}}), "PrometheusRule").values()
    return found


def cases() -> list[tuple[str, bool]]:
    """Return the alert of each case, and whether it fires there."""
    return [
        (case["alertname"], bool(case["exp_alerts"]))
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]


def test_rules__are_there() -> None:
    """There are alerts and recorded volumes: the tests below are not empty."""
    assert len(ALERTS) > 10
    assert len(ALERTS) + len(RECORDS) == len(ALL)
    assert RECORDS


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules__by_promtool(path: Path) -> None:
    """The file is one that Prometheus reads."""
    ran = run_promtool("check", "rules", path)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts__fire_and_stay_quiet(path: Path) -> None:
    """Each case gives the alerts that it names, and no others."""
    ran = run_promtool("test", "rules", path)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("fires", [True, False])
def test_alerts__have_cases(*, fires: bool) -> None:
    """Each alert has a case in which it fires, and one in which it stays quiet."""
    assert {alert for alert, fired in cases() if fired == fires} == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_alert__says_what_to_do(name: str) -> None:
    """An alert has a severity, names its alias, and leads to its page."""
    rule = ALERTS[name]

    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    of_an_alias = "alias" in rule["expr"]
    assert ("{{ $labels.alias }}" in rule["annotations"]["description"]) == of_an_alias
    assert ("{{ $labels.alias }}" in rule["annotations"]["summary"]) == of_an_alias


def test_runbooks__of_each_alert() -> None:
    """Each alert has a page with its name, its severity and its three parts, and the index has a row for it."""
    pages = {path.stem: path.read_text() for path in RUNBOOKS.glob("*.md")}
    index = pages.pop("README")

    assert pages.keys() == ALERTS.keys()
    for name, page in pages.items():
        severity = ALERTS[name]["labels"]["severity"]
        assert page.startswith(f"# {name}\n"), name
        assert f"Severity: {severity}." in page, name
        assert [line for line in page.splitlines() if line.startswith("## ")] == ["## Meaning", "## Look", "## Mend"]
        assert f"| [{name}]({name}.md) | {severity} |" in index, name


def test_runbooks__queries(tmp_path: Path) -> None:
    """Each query of a page is PromQL, about metrics and labels that exist."""
    found = [
        block for page in RUNBOOKS.glob("*.md") for block in blocks(page.read_text()) if block.language == "promql"
    ]
    queries = [line for block in found for line in block.text.splitlines()]

    assert len(queries) > len(ALERTS)
    assert {metric for each in queries for metric in metrics_of(each)} - exported_metrics(tmp_path) == {"up"}
    assert [label for each in queries for label in unknown_labels(each)] == []
    check_expressions(queries, tmp_path)


def test_rules__name_metrics_that_exist(tmp_path: Path) -> None:
    """Rules name only metrics that the exporter shows, recorded ones, `up`, and one of kube-state-metrics."""
    named = {metric for rule in ALL for metric in metrics_of(rule["expr"])}

    assert named - exported_metrics(tmp_path) - RECORDS == OF_OTHERS


def test_rules__name_labels_that_exist() -> None:
    """Rules, and the cases that try them, use only labels and values that the counters have."""
    series = [
        each["series"]
        for path in CASES
        for test in yaml.safe_load(path.read_text())["tests"]
        for each in test["input_series"]
    ]

    assert [found for text in (*(rule["expr"] for rule in ALL), *series) for found in unknown_labels(text)] == []


def test_unknown_labels__of_an_expression() -> None:
    """An unknown label and an unknown value are found, in a counter and in a histogram."""
    asked = (
        'switchyard_decisions_total{reason=~"down|away", alias="$alias", job="x"}',
        'db_client_operation_duration_seconds_bucket{kind="read", le="1", operation="read"}',
    )

    assert unknown_labels(" / ".join(asked)) == [
        'switchyard_decisions_total: reason="down|away"',
        'db_client_operation_duration_seconds_bucket: kind="read"',
    ]


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ('sum by (a) (rate(b{c="d{e}", f!~"g"}[5m])) / on (h) group_left () i > 0.2', {"b", "i"}),
        (
            "histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m]))) unless max without (b) (c:d)",
            {"a_bucket", "c:d"},
        ),
    ],
)
def test_metrics_of__an_expression(expression: str, named: set[str]) -> None:
    """Functions, labels and words of PromQL are no metrics."""
    assert metrics_of(expression) == named


def test_prometheus_rule__of_a_release(render: Render, tmp_path: Path) -> None:
    """It has all rules but the one about aliases to retire, about metrics of the release's namespace only."""
    found = rendered_rule(render, labels={"release": "prometheus"})
    rules = rules_of(found["spec"]["groups"])

    assert found["metadata"]["labels"]["release"] == "prometheus"
    assert {rule["alert"] for rule in rules if "alert" in rule} == ALERTS.keys() - RETIRING
    assert {rule["record"] for rule in rules if "record" in rule} == RECORDS
    for rule in rules:
        assert rule["expr"].count('{namespace="rails"') == sum(map(rule["expr"].count, metrics_of(rule["expr"]))), rule
    check_groups(found["spec"]["groups"], tmp_path)


def test_prometheus_rule__of_aliases_to_retire(render: Render) -> None:
    """The alert about aliases to retire is about those that the values name."""
    rules = rules_of(rendered_rule(render, retiring=["legacy", "analytics"])["spec"]["groups"])
    (rule,) = [rule for rule in rules if rule.get("alert") in RETIRING]

    assert 'alias=~"legacy|analytics"' in rule["expr"]
