"""Visits of products, on the alias `visits`."""
