"""A small Django project that every contender serves, each with its own routers and middleware."""
