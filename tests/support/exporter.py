"""The exporter as a process beside a service, and what a scrape of it shows."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.support.service import APP, free_port
from tests.support.waiting import until

type Labels = Mapping[str, str]


@dataclass(frozen=True)
class Scrape:
    """One answer of the exporter, and how long a client waited for it."""

    text: str
    seconds: float

    def samples(self, name: str) -> list[tuple[Labels, float]]:
        """Return the labels and the value of each sample of this name."""
        families = text_string_to_metric_families(self.text)
        return [(each.labels, each.value) for family in families for each in family.samples if each.name == name]

    def by_alias(self, name: str) -> dict[str, float]:
        """Return the values of a metric whose only label is the alias."""
        return {labels["alias"]: value for labels, value in self.samples(name)}


@dataclass(frozen=True)
class Exporter:
    """A running exporter."""

    port: int

    def scrape(self) -> Scrape:
        """Return what /metrics shows now."""
        began_at = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as response:
            text = response.read().decode()
        return Scrape(text, time.monotonic() - began_at)

    def _answers(self) -> bool:
        try:
            self.scrape()
        except OSError:
            return False
        return True


@contextmanager
def exporting(directory: Path) -> Iterator[Exporter]:
    """Run the exporter of this METRICS_DIR in this block, which begins when it answers."""
    exporter = Exporter(free_port())
    command = ("-m", "switchyard.telemetry.exporter", "--dir", str(directory), "--address", "127.0.0.1")
    process = subprocess.Popen([sys.executable, *command, "--port", str(exporter.port)], cwd=APP)
    try:
        until(exporter._answers, "the exporter answers")
        yield exporter
    finally:
        process.terminate()
        process.wait(timeout=60)
