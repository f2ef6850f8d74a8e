"""How much work each alias does. Importing this needs no Django: the exporter runs without."""

from switchyard.telemetry.counters import snapshot

__all__ = ["snapshot"]
