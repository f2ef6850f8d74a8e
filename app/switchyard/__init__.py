"""Routers, per-alias migrations, cross-database queries and metrics for Django on several databases."""
