"""The dashboard of the chart, rendered as Grafana does: from its variables, through its queries, to named series."""

import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.cluster import ROOT
from tests.e2e.monitoring import OperatedPrometheus

_LABEL_VALUES = re.compile(r"label_values\((.+), (\w+)\)")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_RATE_INTERVAL = "10s"
_STEP_SECONDS = 2


@dataclass(frozen=True)
class Dashboard:
    """The dashboard over the last seconds of a Prometheus."""

    prometheus: OperatedPrometheus
    seconds: float

    def variables(self) -> Mapping[str, list[str]]:
        """Return the values from which a reader chooses, by variable."""
        found: dict[str, list[str]] = {}
        for variable in _document()["templating"]["list"]:
            if asked := _LABEL_VALUES.fullmatch(variable.get("definition", "")):
                selector = self._filled(asked[1], found)
                found[variable["name"]] = self.prometheus.get(f"label/{asked[2]}/values", **{"match[]": selector})
        return found

    def series(self) -> Mapping[str, list[str]]:
        """Return the names of the series that each panel shows, with all values of the variables chosen."""
        variables = self.variables()
        return {
            panel["title"]: [name for target in panel["targets"] for name in self._names(target, variables)]
            for panel in _document()["panels"]
            if panel["type"] != "row"
        }

    def _names(self, target: Mapping[str, Any], variables: Mapping[str, list[str]]) -> list[str]:
        """Return the legend of each series of a target that has a point; a label that is missing there is an error."""
        shown = self._asked(self._filled(target["expr"], variables), instant=target.get("instant", False))
        return [
            _LABEL.sub(lambda label, labels=each["metric"]: labels[label[1]], target["legendFormat"])  # type: ignore[misc]
            for each in shown
            if any(math.isfinite(float(value)) for _, value in each.get("values", [each.get("value")]))
        ]

    def _asked(self, query: str, *, instant: bool) -> list[dict[str, Any]]:
        if instant:
            answer = self.prometheus.get("query", query=query)
        else:
            now = time.time()
            span = {"start": f"{now - self.seconds:.3f}", "end": f"{now:.3f}", "step": str(_STEP_SECONDS)}
            answer = self.prometheus.get("query_range", query=query, **span)
        result: list[dict[str, Any]] = answer["result"]
        return result

    def _filled(self, text: str, variables: Mapping[str, list[str]]) -> str:
        of_grafana = {"__rate_interval": [_RATE_INTERVAL], "__range": [f"{self.seconds:.0f}s"]}
        return _VARIABLE.sub(lambda found: "|".join({**of_grafana, **variables}[found[1]]), text)


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / "chart" / "files" / "dashboard.json").read_text())
    return document
