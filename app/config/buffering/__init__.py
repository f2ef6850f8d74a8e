"""gunicorn's threaded worker with buffered connections: a thread runs the application, and never waits for a client."""
