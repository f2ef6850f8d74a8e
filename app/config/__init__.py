"""The service's Django project: what it is made of, and what the environment may say about it."""
