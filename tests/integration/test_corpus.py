"""The corpus of statements, judged by the servers: what they refuse in a read-only transaction, and what they write.

`tests/unit` holds the classification of the same statements.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.containers import Containers
from tests.support.corpus import lines_of, overloads_of, vendor_of
from tests.support.judges import (
    Judge,
    mysqls_judge,
    postgresqls_judge,
    prepare_mysql,
    prepare_postgresql,
    remove_mysql,
    sqlites_judge,
)
from tests.support.servers import Servers
from tests.support.vendors import ROOT_PASSWORD, MySQLdb

from switchyard.routing.monitor.probes.volatile_functions import Catalog, read_catalog
from switchyard.sql.function_names import READ_ONLY_FUNCTIONS, SYNTAX_OR_FUNCTION


def refuted(corpus: str, judge: Judge) -> list[tuple[str, str, str]]:
    """Return the lines whose word is not the server's verdict: word, statement and verdict."""
    said = {"reads": "reads", "doubt": "reads", "writes": "writes"}
    judged = [(line, judge(line)) for line in lines_of(corpus) if line.verdict in said]
    return [(line.verdict, line.sql, verdict) for line, verdict in judged if verdict != said[line.verdict]]


def assert_knows_its_functions(corpus: str, catalog: Catalog) -> None:
    """Assert that the catalog names each function of the corpus that a list or the language would call harmless."""
    vendor = vendor_of(corpus)
    harmless = READ_ONLY_FUNCTIONS[vendor] | {word.lower() for word in SYNTAX_OR_FUNCTION[vendor]}
    assert overloads_of(corpus) & harmless <= catalog.overloaded
    assert not harmless - overloads_of(corpus) & catalog.overloaded


@contextmanager
def postgresql_database(servers: Containers, corpus: str) -> Iterator[Callable[[], psycopg.Connection]]:
    """Yield a function that connects to a database of the corpus, which exists in this block."""
    connect = partial(
        psycopg.connect,
        host="127.0.0.1",
        port=servers.by_alias["default"].port,
        user="postgres",
        password=ROOT_PASSWORD,
        autocommit=True,
        dbname=corpus,
    )
    servers.ask("default", f"DROP DATABASE IF EXISTS {corpus} WITH (FORCE)", f"CREATE DATABASE {corpus}")
    try:
        with closing(connect()) as connection:
            prepare_postgresql(connection, overloads=corpus.endswith("_overloads"))
        yield connect
    finally:
        servers.ask("default", f"DROP DATABASE {corpus} WITH (FORCE)")


@contextmanager
def mysql_database(servers: Containers, corpus: str) -> Iterator[Callable[[], Any]]:
    """Yield a function that connects to the database `corpus` of `legacy`, which exists in this block."""
    options = {"host": "127.0.0.1", "port": servers.by_alias["legacy"].port, "user": "root", "password": ROOT_PASSWORD}
    connect = partial(MySQLdb.connect, autocommit=True, charset="utf8mb4", **options)
    is_mariadb = servers.by_alias["legacy"].vendor.scheme == "mariadb"
    with closing(connect()) as connection:
        prepare_mysql(connection, overloads=corpus.endswith("_overloads"), is_mariadb=is_mariadb)
        try:
            yield partial(connect, database="corpus")
        finally:
            remove_mysql(connection)


@pytest.mark.docker
@pytest.mark.parametrize("corpus", ["postgresql", "postgresql_overloads"])
def test_corpus__postgresqls_verdict(servers: Servers, corpus: str) -> None:
    """Each statement reads, writes or is refused as its line says, and the catalog knows the functions."""
    with postgresql_database(servers, corpus) as connect:
        with closing(connect()) as connection:
            catalog = read_catalog(connection.cursor(), "postgresql")

        assert refuted(corpus, postgresqls_judge(connect)) == []
        assert {"quiet"} <= catalog.read_only
        # They are stable, and run a text that they get.
        assert not {"crosstab", "connectby", "query_to_xml", "ts_stat", "ts_rewrite", "dblink"} & catalog.read_only
        assert_knows_its_functions(corpus, catalog)


@pytest.mark.docker
@pytest.mark.parametrize("corpus", ["mysql", "mysql_overloads"])
def test_corpus__mysqls_verdict(servers: Servers, corpus: str) -> None:
    """Each statement reads, writes or is refused as its line says, and the catalog knows the functions."""
    with mysql_database(servers, corpus) as connect:
        with closing(connect()) as connection, closing(connection.cursor()) as cursor:
            catalog = read_catalog(cursor, "mysql")

        assert refuted(corpus, mysqls_judge(connect)) == []
        assert_knows_its_functions(corpus, catalog)


@pytest.mark.docker
@pytest.mark.parametrize("corpus", ["mariadb", "mysql_overloads"])
def test_corpus__mariadbs_verdict(mariadb_pair: Servers, corpus: str) -> None:
    """Each statement reads, writes or is refused as its line says."""
    with mysql_database(mariadb_pair, corpus) as connect:
        assert refuted(corpus, mysqls_judge(connect)) == []


def test_corpus__sqlites_verdict(tmp_path: Path) -> None:
    """Each statement reads, writes or is refused as its line says."""
    assert refuted("sqlite", sqlites_judge(tmp_path)) == []
