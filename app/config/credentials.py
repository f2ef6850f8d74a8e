"""The credentials without which the service does not serve. Management commands need none of them."""

from switchyard.environment import ConfigurationError, env

_SHORTEST = {"SECRET_KEY": 50, "API_TOKEN": 32}  # characters


def require(environ: env.Environ) -> None:
    """Raise ConfigurationError unless the environment has a key and a token that are long enough.

    Without them the service would be open to everyone, or lose its sessions at each start.
    """
    for variable, shortest in _SHORTEST.items():
        length = len(env.secret(environ, variable))
        if length < shortest:
            raise ConfigurationError(
                variable,
                f"has only {length} characters",
                f"Set {shortest} or more random characters, such as those of:"
                f" python3 -c 'import secrets; print(secrets.token_urlsafe({shortest}))'",
            )
