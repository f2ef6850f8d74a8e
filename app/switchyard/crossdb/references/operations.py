"""Operations for the parent of another package: they stand in a migration of your own app and change its model.

`makemigrations` would write the migration into the package, where the next installation removes it. Your app must have
the same owner as the parent, because a migration runs on the owner of its app.
"""

from typing import Any

from django.db.migrations.operations import AddConstraint, RemoveConstraint
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from switchyard.crossdb.references.deletions import RecordDeletions


class _OfAnotherApp(Operation):
    """Change the model `<app>.<Model>` in place of a model of the migration's app."""

    model: str

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        super().state_forwards(self._app, state)

    def database_forwards(self, app_label: str, *args: Any) -> None:
        super().database_forwards(self._app, *args)

    def database_backwards(self, app_label: str, *args: Any) -> None:
        super().database_backwards(self._app, *args)

    def reduce(self, operation: Operation, app_label: str) -> bool:
        """Let no optimizer of migrations move an operation across this one."""
        return False

    @property
    def _app(self) -> str:
        return self.model.partition(".")[0]

    @property
    def _name(self) -> str:
        return self.model.partition(".")[2]


class RecordDeletionsOf(_OfAnotherApp, AddConstraint):
    """Record the deletions of a model of another app.

    Let the migration depend on the newest migration of that app. `makemigrations` prints the operation.

        >>> from switchyard.crossdb import RecordDeletions, RecordDeletionsOf
        >>> recorded = RecordDeletions(reference="blog.Post.author", name="deletions_blog_post_author_id")
        >>> RecordDeletionsOf("auth.User", recorded).describe()
        'Record the deletions of auth.User for blog.Post.author'
    """

    __module__ = "switchyard.crossdb"  # the place from which migrations import it
    constraint: RecordDeletions

    def __init__(self, model: str, constraint: RecordDeletions) -> None:
        self.model = model
        super().__init__(self._name, constraint)

    def deconstruct(self) -> Any:
        """Return the arguments for the writer of migrations."""
        return type(self).__name__, [self.model, self.constraint], {}

    def describe(self) -> str:
        """Describe the operation for `migrate --plan`."""
        return f"Record the deletions of {self.model} for {self.constraint.reference}"


class ForgetDeletionsOf(_OfAnotherApp, RemoveConstraint):
    """End what `RecordDeletionsOf` began, after the removal of the reference.

    >>> from switchyard.crossdb import ForgetDeletionsOf
    >>> ForgetDeletionsOf("auth.User", "deletions_blog_post_author_id").describe()
    'Record no longer the deletions of auth.User: deletions_blog_post_author_id'
    """

    __module__ = "switchyard.crossdb"  # as above

    def __init__(self, model: str, name: str) -> None:
        self.model = model
        super().__init__(self._name, name)

    def deconstruct(self) -> Any:
        """Return the arguments for the writer of migrations."""
        return type(self).__name__, [self.model, self.name], {}

    def describe(self) -> str:
        """Describe the operation for `migrate --plan`."""
        return f"Record no longer the deletions of {self.model}: {self.name}"
