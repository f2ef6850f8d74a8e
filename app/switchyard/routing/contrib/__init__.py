"""Routing for what surrounds the ORM: middleware, sign-in, background tasks. Settings name these modules."""
