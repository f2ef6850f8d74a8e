"""Whether the process lives, and whether it should be sent requests. Metrics are telemetry's."""
