"""The classification of the corpus, whose verdicts come from the servers. `tests/integration` asks them again."""

from collections import Counter

import pytest
from tests.support.corpus import FILES, READ_ONLY, Line, lines_of, overloads_of, vendor_of

from switchyard.routing.monitor.probes import volatile_functions
from switchyard.routing.monitor.probes.volatile_functions import Catalog, cache_catalog, may_write
from switchyard.sql import classify


@pytest.fixture(autouse=True)
def catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test with the catalogs that the servers of the corpora have."""
    monkeypatch.setattr(volatile_functions, "_catalogs", {})
    for corpus in FILES:
        cache_catalog(corpus, Catalog(read_only=READ_ONLY, overloaded=overloads_of(corpus)))


def is_right(line: Line, corpus: str) -> bool:
    """Return True if the classification agrees with the verdict of the line."""
    statement = classify(line.sql, vendor_of(corpus))
    return statement.locks if line.verdict == "locks" else may_write(statement, corpus) == (line.verdict != "reads")


@pytest.mark.parametrize("corpus", FILES)
def test_classify__corpus(corpus: str) -> None:
    """A statement that the server wrote, or refused in a read-only transaction, may write; no other one does."""
    wrong = [line for line in lines_of(corpus) if not is_right(line, corpus)]

    assert wrong == []


@pytest.mark.parametrize("corpus", ["postgresql", "mysql", "mariadb", "sqlite"])
def test_corpus__size(corpus: str) -> None:
    """Each vendor has at least 300 different statements, of each verdict some."""
    lines = set(lines_of(corpus))
    verdicts = Counter(line.verdict for line in lines)

    assert len(lines) >= 300
    assert min(verdicts["reads"], verdicts["writes"]) >= 100
