"""The console's page: what its templates show, computed from the console's data. No module here reads a database."""
