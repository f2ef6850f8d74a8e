"""Tests that a project could write. They run on every vendor, with Django's runner and with pytest."""
# ruff: noqa: PT009, PT027 - assertions of unittest, as in most projects with Django's test cases

import threading
import time
import urllib.request

from django.db import DatabaseError, connection, connections, transaction
from django.test import LiveServerTestCase, TestCase, TransactionTestCase, skipUnlessDBFeature

from shop.models import Item
from switchyard.routing import RoutingError, read_only
from switchyard.telemetry import snapshot
from switchyard.testing import assert_queries, replica_lag

BOTH = frozenset({"default", "replica"})


def names() -> list[str]:
    """Return the names of the items on the replica."""
    return sorted(Item.objects.using("replica").values_list("name", flat=True))


def counted() -> dict[str, float]:
    """Return the number of reads that telemetry has counted on each alias."""
    reads = dict.fromkeys(BOTH, 0.0)
    for (name, labels), value in snapshot().items():
        found = dict(labels)
        if name == "switchyard_queries_total" and found["operation"] == "read" and found["alias"] in reads:
            reads[found["alias"]] += value
    return reads


class InTestCase(TestCase):
    databases = BOTH

    @classmethod
    def setUpTestData(cls) -> None:
        cls.item = Item.objects.create(name="of the class")
        cls.seen = Item.objects.using("replica").get()

    def test_uncommitted_rows_are_seen(self) -> None:
        Item.objects.create(name="of the test")
        self.assertEqual(names(), ["of the class", "of the test"])

    def test_rows_of_another_test_are_gone(self) -> None:
        self.assertEqual(names(), ["of the class"])

    def test_class_data_are_read_from_the_replica(self) -> None:
        self.assertEqual(self.seen, self.item)
        self.assertEqual(self.seen._state.db, "replica")

    def test_the_router_reads_from_the_replica(self) -> None:
        with assert_queries(default=1, replica=2):
            Item.objects.create(name="new")
            self.assertEqual(Item.objects.get(name="new")._state.db, "replica")
            Item.objects.count()

    def test_django_counts_each_alias_apart(self) -> None:
        with self.assertNumQueries(0), self.assertNumQueries(1, using="replica"):
            names()

    def test_telemetry_counts_each_alias_apart(self) -> None:
        before = counted()
        names()
        Item.objects.using("default").count()
        Item.objects.using("default").count()
        after = counted()
        self.assertEqual({alias: after[alias] - before[alias] for alias in BOTH}, {"default": 2, "replica": 1})

    def test_writes_are_refused(self) -> None:
        refused = self.assertRaisesMessage(RoutingError, "a replica of 'default'")
        with assert_queries(), refused, transaction.atomic(using="replica"):
            Item.objects.using("replica").create(name="refused")
        self.assertEqual(names(), ["of the class"])

    def test_raw_writes_are_refused(self) -> None:
        with connections["replica"].cursor() as cursor, self.assertRaisesMessage(RoutingError, "a replica of"):
            cursor.execute("DELETE FROM shop_item")

    @skipUnlessDBFeature("has_select_for_update")
    def test_locks_are_refused(self) -> None:
        with transaction.atomic(using="replica"), self.assertRaisesMessage(RoutingError, "a replica of"):
            list(Item.objects.using("replica").select_for_update())

    def test_rows_are_seen_through_nested_atomics(self) -> None:
        with transaction.atomic(), transaction.atomic(using="replica"):
            Item.objects.create(name="outer")
            with transaction.atomic(using="replica"), transaction.atomic():
                Item.objects.create(name="inner")
            self.assertEqual(names(), ["inner", "of the class", "outer"])
        self.assertEqual(names(), ["inner", "of the class", "outer"])

    def test_a_read_only_block_sees_the_rows_and_does_not_change_the_owners_session(self) -> None:
        for alias in ("replica", "default"):
            with self.subTest(alias=alias):
                with assert_queries(**{alias: 1}), read_only(alias):
                    self.assertEqual(Item.objects.get(), self.item)
                    with self.assertRaisesMessage(RoutingError, "inside read_only()"), transaction.atomic():
                        Item.objects.create(name="refused")
                Item.objects.create(name=f"after {alias}").delete()

    def test_a_rollback_on_the_owner_is_seen_on_the_replica(self) -> None:
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            Item.objects.create(name="undone")
            with transaction.atomic(using="replica"):
                self.assertIn("undone", names())
            raise ZeroDivisionError
        self.assertEqual(names(), ["of the class"])

    def test_a_rollback_on_the_replica_undoes_nothing(self) -> None:
        with self.assertRaises(ZeroDivisionError), transaction.atomic(using="replica"):
            with transaction.atomic(using="replica"):
                Item.objects.create(name="kept")
            raise ZeroDivisionError
        self.assertEqual(names(), ["kept", "of the class"])

    def test_a_rollback_by_flag_undoes_nothing(self) -> None:
        with transaction.atomic(using="replica"):
            Item.objects.create(name="kept")
            transaction.set_rollback(True, using="replica")
        self.assertEqual(names(), ["kept", "of the class"])

    def test_savepoints_of_both_aliases_are_independent(self) -> None:
        with transaction.atomic():
            Item.objects.create(name="first")
            with transaction.atomic(using="replica"), self.assertRaises(DatabaseError), transaction.atomic():
                Item.objects.create(name="first")
            Item.objects.create(name="second")
        self.assertEqual(names(), ["first", "of the class", "second"])

    def test_an_error_on_the_replica_breaks_nothing(self) -> None:
        Item.objects.create(name="before")
        with self.assertRaises(DatabaseError), transaction.atomic(using="replica"):
            Item.objects.using("replica").extra(where=["no_such_column = 1"]).count()
        Item.objects.create(name="after")
        self.assertEqual(names(), ["after", "before", "of the class"])

    def test_an_error_on_the_owner_breaks_nothing(self) -> None:
        with self.assertRaises(DatabaseError), transaction.atomic():
            Item.objects.create(name="of the class")
        self.assertEqual(names(), ["of the class"])

    def test_transaction_statements_of_a_raw_cursor_do_nothing(self) -> None:
        Item.objects.create(name="kept")
        with connections["replica"].cursor() as cursor:
            cursor.execute("SAVEPOINT mine")
            cursor.execute("ROLLBACK")
        self.assertEqual(names(), ["kept", "of the class"])

    def test_two_iterators_at_once(self) -> None:
        Item.objects.create(name="second")
        rows = Item.objects.order_by("name")
        pairs = zip(rows.using("replica").iterator(1), rows.using("default").iterator(1), strict=True)
        self.assertEqual([(a.name, b.name) for a, b in pairs], [(n, n) for n in ("of the class", "second")])

    def test_subtests_see_rows_of_earlier_subtests(self) -> None:
        for number in range(2):
            with self.subTest(number=number):
                Item.objects.create(name=f"sub {number}")
                self.assertEqual(len(names()), 2 + number)

    def test_closing_the_mirror_leaves_the_owner_connected(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks:
            transaction.on_commit(lambda: None)
            Item.objects.create(name="kept")
            connections["replica"].close_if_unusable_or_obsolete()
            self.assertEqual(names(), ["kept", "of the class"])
        self.assertEqual(len(callbacks), 1)

    def test_the_mirror_names_the_alias_whose_connection_it_shares(self) -> None:
        names()
        self.assertEqual(connections["replica"].shares_connection_of, "default")
        self.assertIs(connections["replica"].connection, connection.connection)
        self.assertEqual(connections.settings["replica"]["SHARES_CONNECTION_OF"], "default")


class Lagging(TestCase):
    databases = BOTH

    def read_from(self, alias: str) -> None:
        with assert_queries(**{alias: 1}):
            self.assertEqual(Item.objects.get().name, "new")

    def test_a_client_reads_the_owner_after_its_write_until_the_replica_has_caught_up(self) -> None:
        with replica_lag() as lag:
            lag.pause()
            Item.objects.create(name="new")
            self.read_from("default")
            self.read_from("default")
            lag.catch_up()
            self.read_from("replica")

    def test_a_write_before_the_lag_requires_no_position(self) -> None:
        Item.objects.create(name="new")
        with replica_lag() as lag:
            lag.pause()
            self.read_from("replica")

    def test_a_second_pause_holds_back_its_own_writes(self) -> None:
        with replica_lag() as lag:
            lag.pause()
            item = Item.objects.create(name="old")
            lag.catch_up()
            Item.objects.count()
            lag.pause()
            with assert_queries(replica=1):
                Item.objects.count()
            Item.objects.filter(pk=item.pk).update(name="new")
            self.read_from("default")

    def test_a_delay_passes(self) -> None:
        with replica_lag() as lag:
            lag.delay(3600)
            Item.objects.create(name="new")
            self.read_from("default")
            lag.delay(0.001)
            time.sleep(0.002)
            self.read_from("replica")

    def test_a_write_in_a_transaction_requires_its_position_afterwards(self) -> None:
        with replica_lag() as lag:
            lag.pause()
            with transaction.atomic():
                Item.objects.create(name="new")
            self.read_from("default")

    def test_the_lag_ends_with_the_block(self) -> None:
        with replica_lag() as lag:
            lag.pause()
            Item.objects.create(name="new")
        self.read_from("replica")
        with replica_lag() as lag:
            lag.delay(60)
            self.read_from("replica")

    def test_the_next_request_of_the_client_that_wrote(self) -> None:
        with replica_lag() as lag:
            lag.pause()
            with assert_queries(default=1):
                self.client.post("/add")
            self.assertEqual(self.client.get("/where").content, b"default")
            self.assertEqual(self.client_class().get("/where").content, b"replica")
            lag.catch_up()
            self.assertEqual(self.client.get("/where").content, b"replica")

    def test_an_owner_cannot_lag(self) -> None:
        with replica_lag() as lag, self.assertRaisesMessage(ValueError, "'default' is no replica"):
            lag.pause("default")


class WithoutClassData(TestCase):
    databases = BOTH

    def test_rows_of_another_class_are_gone(self) -> None:
        self.assertEqual(names(), [])


class InTransactionTestCase(TransactionTestCase):
    databases = BOTH

    def test_committed_rows_are_seen_and_kept(self) -> None:
        with transaction.atomic(using="replica"), transaction.atomic():
            Item.objects.create(name="committed")
        connection.close()
        self.assertEqual(names(), ["committed"])

    def test_uncommitted_rows_are_seen_too(self) -> None:
        with transaction.atomic():
            Item.objects.create(name="uncommitted")
            self.assertEqual(names(), ["uncommitted"])

    def test_a_rolled_back_mirror_loses_nothing(self) -> None:
        with self.assertRaises(ZeroDivisionError), transaction.atomic(using="replica"):
            Item.objects.create(name="kept")
            raise ZeroDivisionError
        connection.close()
        self.assertEqual(names(), ["kept"])

    def test_a_read_only_block_on_the_mirror_does_not_change_the_owners_session(self) -> None:
        Item.objects.create(name="deleted")
        with read_only("replica"):
            self.assertEqual(Item.objects.count(), 1)
            connection.connection.cursor().execute("DELETE FROM shop_item")  # unguarded
        connection.connection.commit()
        self.assertEqual(names(), [])

    def test_the_mirror_follows_an_owner_that_reconnects(self) -> None:
        Item.objects.create(name="kept")
        self.assertEqual(names(), ["kept"])
        connection.close()
        before = counted()["replica"]
        self.assertEqual(names(), ["kept"])
        self.assertIs(connections["replica"].connection, connection.connection)
        self.assertEqual(counted()["replica"] - before, 1)

    def test_the_mirror_follows_in_the_middle_of_its_own_block(self) -> None:
        with transaction.atomic(using="replica"):
            Item.objects.create(name="kept")
            connection.close()
            with transaction.atomic(using="replica"):
                self.assertEqual(names(), ["kept"])
        self.assertFalse(connections["replica"].in_atomic_block)

    def test_two_iterators_in_the_mirrors_block(self) -> None:
        Item.objects.bulk_create([Item(name="a"), Item(name="b")])
        with transaction.atomic():
            rows = Item.objects.using("replica").order_by("name").iterator(1)
            self.assertEqual([item.name for item in rows], ["a", "b"])

    def test_a_check_of_the_mirror_does_not_open_a_closed_owner(self) -> None:
        names()
        connection.close()
        connections["replica"].close_if_unusable_or_obsolete()
        if not connection.connection:  # a database in memory stays open
            connections["replica"].close()
            self.assertIsNone(connection.connection)

    def test_another_thread_has_its_own_pair(self) -> None:
        Item.objects.create(name="committed")
        found: list[object] = []

        def look() -> None:
            try:
                found.extend([*names(), connections["replica"].connection is connections["default"].connection])
            finally:
                connections["default"]._close()  # `close()` leaves a database in memory open

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        self.assertEqual(found, ["committed", True])


class InLiveServer(LiveServerTestCase):
    databases = BOTH

    def test_a_live_server_sees_committed_rows(self) -> None:
        Item.objects.create(name="committed")
        with urllib.request.urlopen(f"{self.live_server_url}/count", timeout=10) as response:
            self.assertEqual(response.read(), b"1")
