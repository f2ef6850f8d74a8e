"""Errors of queries across databases."""


class TooManyKeysError(Exception):
    """More keys than a bound allows: the bound of the condition, or the bound of one statement."""

    def __init__(self, source: str, bound: int, remedy: str) -> None:
        self.bound = bound
        super().__init__(f"The queryset of keys of {source} has more than {bound:,} keys. {remedy}")
