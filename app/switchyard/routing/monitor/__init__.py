"""How each process watches the servers, in threads beside its requests: probes, lag, fitness, failures. No routing."""
