"""How the servers are watched: probes, lag, fitness and failures, beside the requests. No request's state."""
