"""Routing for requests, sign-in and background tasks. Settings name most of these modules."""
