"""How a server is asked: the probing threads, and what they look for. No verdict."""
