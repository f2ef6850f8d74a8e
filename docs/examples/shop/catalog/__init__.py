"""Products, on the alias `default`."""
