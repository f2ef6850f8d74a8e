"""The tables of an alias, compared with the models: what a query of the code would find. Changes nothing."""

from switchyard.migrations._audit.compare import Audit, audit

__all__ = ["Audit", "audit"]
