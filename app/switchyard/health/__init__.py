"""Liveness of the process, and its readiness for requests. Metrics belong to `switchyard.telemetry`."""
