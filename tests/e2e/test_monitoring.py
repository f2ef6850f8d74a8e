"""The real Prometheus Operator on the release: what it scrapes, which alerts fire and clear, what the dashboard shows.

The order of the tests matters. A minute in the rules of the cluster is a second (`hasten_rules`), so that an alert
fires while its fault lasts; `tests/chart/test_alerts.py` tries the times as they are.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import yaml
from tests.e2e.alert_faults import FAULTS, Fault, clients
from tests.e2e.cluster import ROOT, Cluster
from tests.e2e.dashboard import Dashboard
from tests.e2e.monitoring import NoOperatorError, OperatedPrometheus, install_operator, operated_prometheus
from tests.support.waiting import until

pytestmark = pytest.mark.cluster

RETIRED = ("SwitchyardRetiringAliasQueried", "legacy")
NOT_MADE = {"SwitchyardMigrationJobFailed"}  # kube-state-metrics exports the state of Jobs, and no test installs it
# What these panels show is not there in a healthy release without pools. Faults bring it.
OF_FAULTS = {"Errors per second, by alias and class", "Violations, by alias and kind", "Connections of pools"}
ALIASES = {"default", "replica", "analytics", "legacy"}
FIRES_SECONDS = 120
CLEARS_SECONDS = 90


@pytest.fixture(scope="module")
def watching(cluster: Cluster) -> Iterator[OperatedPrometheus]:
    """The Prometheus of the operator."""
    try:
        install_operator(cluster)
    except NoOperatorError as error:
        pytest.skip(str(error))
    with operated_prometheus(cluster) as found:
        yield found


@pytest.fixture(scope="module", autouse=True)
def load(cluster: Cluster, watching: OperatedPrometheus) -> Iterator[ExitStack]:
    """Clients that use every owner, until the stack is closed."""
    with ExitStack() as stack:
        stack.enter_context(clients(cluster))
        yield stack


def of_faults(watching: OperatedPrometheus) -> set[tuple[str, str]]:
    """Return the alerts that fire, except about the alias that the clients still use."""
    return {(name, alias) for name, alias in watching.alerts() if name != RETIRED[0]}


def test_service_monitor__picked_up(cluster: Cluster, watching: OperatedPrometheus) -> None:
    """Prometheus scrapes every pod of the service and of its worker, through the default policies, and nothing else."""
    until(lambda: {each["health"] for each in watching.targets()} == {"up"}, "all targets up", seconds=60)

    pods = [*cluster.objects("pods", "service"), *cluster.objects("pods", "crossdb-worker")]
    assert {target["labels"]["pod"] for target in watching.targets()} == {pod["metadata"]["name"] for pod in pods}


def test_prometheus_rule__picked_up(watching: OperatedPrometheus) -> None:
    """Prometheus has every rule of the chart, and can evaluate each."""
    files = (ROOT / "chart" / "files" / "alerts").glob("*.yaml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    expected = sorted(rule.get("alert", rule.get("record")) for group in groups for rule in group["rules"])
    until(lambda: {each["health"] for each in watching.rules()} == {"ok"}, "evaluated rules", seconds=60)

    assert sorted(rule["name"] for rule in watching.rules()) == expected


def test_alerts__all_made() -> None:
    """Each alert of the chart has a fault here, or a reason why it has none."""
    files = (ROOT / "chart" / "files" / "alerts").glob("*.yaml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}

    assert {name for fault in FAULTS.values() for name, _ in fault.alerts} | NOT_MADE | {RETIRED[0]} == alerts


def test_alerts__of_a_healthy_service(watching: OperatedPrometheus) -> None:
    """No alert fires or is about to, except that somebody uses the alias that is to be retired."""
    until(lambda: watching.alerts() == {RETIRED}, "the alert about the retired alias alone", seconds=60)

    time.sleep(10)  # longer than the ranges of the rules: nothing of the start is left

    assert (watching.alerts("firing"), watching.alerts("pending")) == ({RETIRED}, set())


def test_dashboard__of_a_healthy_service(watching: OperatedPrometheus) -> None:
    """Each panel shows named series, except those about faults; the variables offer what there is."""
    dashboard = Dashboard(watching, seconds=30)
    shown = dashboard.series()

    assert {name: set(values) - {"other"} for name, values in dashboard.variables().items()} == {
        "namespace": {"switchyard"},
        "job": {"switchyard-metrics", "switchyard-crossdb-worker-metrics"},
        "alias": ALIASES,
    }
    assert {title for title, series in shown.items() if not series} == OF_FAULTS
    assert all(len(series) == len(set(series)) for series in shown.values())
    assert set(shown["Queries per second, by alias"]) >= ALIASES


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_alerts__of_a_fault(cluster: Cluster, watching: OperatedPrometheus, fault: Fault) -> None:
    """The alerts of a fault fire while it lasts, and clear after it."""
    assert not fault.alerts & watching.alerts()

    with fault.make(cluster):
        until(lambda: fault.alerts <= watching.alerts(), f"{set(fault.alerts)} fire", seconds=FIRES_SECONDS)
    until(lambda: not of_faults(watching), "no alert fires", seconds=CLEARS_SECONDS)


def test_dashboard__after_faults(watching: OperatedPrometheus) -> None:
    """Over the time of the faults each panel shows named series."""
    shown = Dashboard(watching, seconds=900).series()

    assert {title for title, series in shown.items() if not series} == set()


def test_alert__about_a_retired_alias(watching: OperatedPrometheus, load: ExitStack) -> None:
    """The alert about an alias that is to be retired clears once nobody uses the alias."""
    assert RETIRED in watching.alerts()

    load.close()

    until(lambda: RETIRED not in watching.alerts(), "the alias is not used", seconds=120)
