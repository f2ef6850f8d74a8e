"""Counters of the work on each alias. Importing this package needs no Django: the exporter runs without."""

from switchyard.telemetry.counters import count, snapshot

__all__ = ["count", "snapshot"]
