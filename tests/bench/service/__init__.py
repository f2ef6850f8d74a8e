"""A small Django project for all contenders, each with its own routers and middleware."""
