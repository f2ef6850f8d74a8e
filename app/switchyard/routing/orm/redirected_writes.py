"""Send writes of the ORM on a replica to the owner, for models whose policy `replica_write` is `redirect`.

This covers querysets and managers with the alias of a replica, and `save()` and `delete()` of instances. It does not
cover raw SQL, and writes while a transaction is open on the replica: outside that transaction a write would not roll
back with it, and a locking read would hold no lock. The guard refuses these.

Django asks no router about a write that names its alias, so the property and the two methods that Django takes this
alias from are replaced. Without a policy `redirect` they are Django's own.
https://github.com/django/django/blob/6.1.3/django/db/models/query.py#L2131-L2135
"""

from collections.abc import Mapping
from typing import Any

from django.core.signals import setting_changed
from django.db.models import Model, QuerySet

from switchyard.conf import conf
from switchyard.routing.connection_state import program_transaction_on
from switchyard.routing.policies import policy_of
from switchyard.routing.topology.ownership import owner_of, replicated_by

_db: Any = QuerySet.db
_save_base = Model.save_base
_delete = Model.delete


def install() -> None:
    """Redirect writes if a policy of the settings says so; otherwise put Django's own methods back."""
    policy = conf.policies["replica_write"]
    redirects = "redirect" in (policy.values() if isinstance(policy, Mapping) else (policy,))
    QuerySet.db = property(_redirecting_db) if redirects else _db  # type: ignore[assignment, method-assign]
    Model.save_base = _redirecting_save_base if redirects else _save_base  # type: ignore[method-assign]
    Model.delete = _redirecting_delete if redirects else _delete  # type: ignore[method-assign]


def _redirecting_db(self: Any) -> str:
    alias: str = _db.__get__(self)
    return _alias_for_write(self.model, alias) if self._for_write else alias


def _redirecting_save_base(  # noqa: PLR0917 - Django's signature
    self: Model,
    raw: bool = False,
    force_insert: Any = False,
    force_update: bool = False,
    using: str | None = None,
    update_fields: Any = None,
) -> None:
    using = using and _alias_for_write(self.__class__, using)
    _save_base(self, raw, force_insert, force_update, using, update_fields)


def _redirecting_delete(self: Model, using: Any = None, keep_parents: bool = False) -> Any:
    using = using and _alias_for_write(self.__class__, using)
    return _delete(self, using, keep_parents)


def _alias_for_write(model: type[Model], alias: str) -> str:
    """Return the owner of the model if the alias is its replica and the policy redirects; else the alias."""
    owner = replicated_by(alias)
    if owner is None or policy_of("replica_write", model) != "redirect" or owner != owner_of(model):
        return alias
    return alias if program_transaction_on(alias) else owner


def _reinstall(*, setting: str, **_kwargs: Any) -> None:
    if setting == "SWITCHYARD":
        install()


setting_changed.connect(_reinstall, dispatch_uid="switchyard.routing.orm.redirected_writes")
