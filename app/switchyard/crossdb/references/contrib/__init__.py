"""References in Django's admin and in its fixtures."""
