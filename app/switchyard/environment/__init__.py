"""Settings of databases from environment variables, for a settings module. Nothing here imports Django.

Import users' names from here. docs/settings.md lists the variables.
"""

from switchyard.environment.databases import from_environment
from switchyard.environment.env import ConfigurationError, secret, secrets

__all__ = ["ConfigurationError", "from_environment", "secret", "secrets"]
