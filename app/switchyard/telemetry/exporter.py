"""Serve /metrics in a process of its own: `python -m switchyard.telemetry.exporter --dir DIR`.

At /pod it serves the record of the pod to other pods, for their consoles.

The exporter reads the shared counters, which describe their own layout. It needs no settings and no database, and no
worker has to answer.
"""

import argparse
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from switchyard.telemetry.exposition import prometheus_metrics
from switchyard.telemetry.gauges.reference_gauges import reference_gauges
from switchyard.telemetry.gauges.server_gauges import pool_gauges, server_gauges
from switchyard.telemetry.recent.pod_record import with_pod_record
from switchyard.telemetry.shared_storage import read


class SharedCounters(Collector):
    """Reads the counters of the directory at each scrape."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        """Yield the version of the exporter, and the metrics of the file once the file exists."""
        build = GaugeMetricFamily("switchyard_build_info", "The running version.", labels=("version", "python"))
        build.add_metric((_version(), python_version()), 1)
        yield build
        counts = read(self._directory)
        if counts:
            yield from prometheus_metrics(counts.layout, counts.totals)
        yield from server_gauges(self._directory)
        yield from pool_gauges(self._directory)
        yield from reference_gauges(self._directory)

    def describe(self) -> Iterator[Metric]:
        """Yield no metric: the names are in the file, which may not exist yet."""
        return iter(())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m switchyard.telemetry.exporter",
        description="Serve the counters of a service, which are in shared files, as Prometheus metrics at /metrics.",
    )
    parser.add_argument("--dir", required=True, help="directory of the counters: METRICS_DIR of the service")
    parser.add_argument("--port", type=int, default=9464)
    parser.add_argument("--address", default="::", help="address to listen on; by default all, IPv4 and IPv6")
    options = parser.parse_args(arguments)
    address = "0.0.0.0" if options.address == "::" and not socket.has_dualstack_ipv6() else options.address  # noqa: S104 - scraped from outside the pod

    end_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, end_signals)
    registry = CollectorRegistry()
    registry.register(SharedCounters(options.dir))
    try:
        server, _thread = start_http_server(options.port, address, registry)
    except OSError as error:
        print(  # noqa: T201 - a command prints
            f"Cannot serve metrics on port {options.port} of {address}: {error.strerror}."
            " Stop the process that listens there, or choose another port with --port.",
            file=sys.stderr,
        )
        return 1
    server.set_app(with_pod_record(Path(options.dir), make_wsgi_app(registry)))
    signal.sigwait(end_signals)
    return 0


def _version() -> str:
    try:
        return version("switchyard")
    except PackageNotFoundError:  # the package runs from a checkout, without metadata
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
