"""The dashboard of the chart: promtool accepts its queries, their metrics exist, and their variables are its own."""

import json
import re
from pathlib import Path

from tests.chart.objects import CHART, Object, Render, of_kind
from tests.chart.promql import check_expressions, exported_metrics, metrics_of, unknown_labels

DASHBOARD: Object = json.loads((CHART / "files" / "dashboard.json").read_text())
PANELS: list[Object] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES: dict[str, Object] = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
OF_GRAFANA = {"__rate_interval": "5m", "__range": "3h"}

_LABEL_VALUES = re.compile(r"label_values\((.+), \w+\)")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def expressions() -> list[str]:
    """Return the queries of all panels, and those of the variables."""
    queries = [target["expr"] for panel in PANELS for target in panel["targets"]]
    values = [_LABEL_VALUES.fullmatch(found["definition"]) for found in VARIABLES.values() if "definition" in found]
    return [*queries, *(found[1] for found in values if found)]


def substituted(expression: str) -> str:
    """Return the query as Grafana sends it, with all values of each variable."""
    return _VARIABLE.sub(lambda found: OF_GRAFANA.get(found[1], ".*"), expression)


def test_queries__by_promtool(tmp_path: Path) -> None:
    """Each query is PromQL."""
    check_expressions(map(substituted, expressions()), tmp_path)


def test_queries__name_metrics_that_exist(tmp_path: Path) -> None:
    """Each metric is one that the exporter shows, with labels and values that it has."""
    named = {metric for each in expressions() for metric in metrics_of(each)}

    assert len(named) > 10
    assert [found for each in expressions() for found in unknown_labels(each)] == []
    assert named - exported_metrics(tmp_path) == set()


def test_queries__use_the_variables() -> None:
    """Each query selects by namespace and job, and by alias where it shows aliases; there are no other variables."""
    used = {name for each in expressions() for name in _VARIABLE.findall(each)}

    assert used == VARIABLES.keys() - {"datasource"} | OF_GRAFANA.keys()
    for panel in PANELS:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert {"namespace", "job"} <= set(_VARIABLE.findall(target["expr"])), panel["title"]
            assert "alias" in _VARIABLE.findall(target["expr"]) or "alias" not in target["legendFormat"], panel["title"]


def test_panels__have_places_of_their_own() -> None:
    """Panels have different ids and titles, and none overlaps another."""
    places = [
        (x, y)
        for each in DASHBOARD["panels"]
        for grid in [each["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]

    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len(set(places)) == len(places)


def test_config_map__of_the_dashboard(render: Render) -> None:
    """The ConfigMap holds the dashboard, with the label for the sidecar of Grafana and those of values."""
    maps = of_kind(render({"metrics": {"dashboard": {"enabled": True, "labels": {"team": "rails"}}}}), "ConfigMap")
    found = maps["sy-switchyard-dashboard"]

    assert {"grafana_dashboard": "1", "team": "rails"}.items() <= found["metadata"]["labels"].items()
    assert json.loads(found["data"]["switchyard.json"]) == DASHBOARD
    assert "sy-switchyard-dashboard" not in of_kind(render(), "ConfigMap")
