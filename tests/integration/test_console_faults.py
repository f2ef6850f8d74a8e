"""Five faults that a script makes in random order: the console's page alone names each one, and takes it back."""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.integration.conftest import environment, manage
from tests.support.console_page import CHROMIUM, cells, chromium, opened, sign_in
from tests.support.gunicorn import TOKEN, Gunicorn, serving
from tests.support.servers import Servers
from tests.support.waiting import until
from tests.support.writer_on_legacy import PATH as WRITE_LEGACY

from analytics.models import AnalyticsEvent
from switchyard.console.problems import SLOW_SPAN_SECONDS

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(not CHROMIUM, reason="the console's page: no Chromium is installed"),
]
NAMED_WITHIN_SECONDS = 10.0
TAKEN_BACK_WITHIN_SECONDS = 60.0  # counts of the last half minute are among what the page looks at
POOL_SIZE = 2  # of each of the two workers
TABLE = AnalyticsEvent._meta.db_table

# What a person reads on the page, and what it means. Nothing else tells the test which fault there is.
MEANINGS = {
    r"^replica down since [\d:]{8}\. It refuses connections, fails, or does not answer in time": "paused standby",
    r"^analytics slow calls since [\d:]{8}\. 5 % of the calls of the last seconds took longer than": "slow analytics",
    r"^legacy violation since [\d:]{8}\. read_only_owner_write: A write was refused on 'legacy'.*"
    r"Place: \S*writer_on_legacy\.py:\d+ in write_customer\.": "writer on legacy",
    r"^analytics exhausted pool since [\d:]{8}\. .*(threads? waits? for a connection|got none)": "exhausted pool",
    r"^analytics pending migrations since [\d:]{8}\. 1 migration is not applied\.": "pending migration",
}
ALIASES = {
    "paused standby": "replica",
    "slow analytics": "analytics",
    "writer on legacy": "legacy",
    "exhausted pool": "analytics",
    "pending migration": "analytics",
}

type Fault = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def service(servers: Servers, tmp_path: Path) -> Iterator[Gunicorn]:
    """The service on the four servers with an administrator, a small pool for analytics, and the default limits."""
    given = {**servers.environ(), "METRICS_DIR": str(tmp_path / "metrics"), "DATA_DIR": str(tmp_path)}
    address = given["DATABASE_ANALYTICS_URL"]
    given["DATABASE_ANALYTICS_URL"] = f"{address}{'&' if '?' in address else '?'}pool_max_size={POOL_SIZE}"
    servers.clean()
    administrator = ("--username", "admin", "--email", "admin@example.com", "--noinput")
    made = manage("createsuperuser", *administrator, **given, DJANGO_SUPERUSER_PASSWORD="dev")
    assert made.returncode == 0, made.stderr
    servers.caught_up()
    environ = {**environment(**given), "SERVED_OVER_HTTPS": "false"}
    with serving(environ, "--workers", "2", application="tests.support.writer_on_legacy") as service:
        yield service


@contextmanager
def repeated(work: Callable[[], None], *, threads: int = 1) -> Iterator[None]:
    """Do the work again and again, in so many threads, until the end of the block."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.05):
            work()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in running:
            thread.join()


def ask(service: Gunicorn, path: str) -> None:
    """Send a request; a client of a service with a fault gets all sorts of answers, or none."""
    with (
        suppress(OSError, HTTPException),
        closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection,
    ):
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
        connection.getresponse().read()


def faults(servers: Servers, service: Gunicorn) -> Mapping[str, Fault]:
    """Return the script's faults by name: each is present in a block, and mended at its end."""

    def lock_for_a_moment() -> None:
        with closing(servers.admin("analytics")) as connection, connection.transaction():
            connection.execute(f'LOCK TABLE "{TABLE}" IN ACCESS EXCLUSIVE MODE')
            connection.execute("SELECT pg_sleep(0.7)")

    @contextmanager
    def exhausted_pool() -> Iterator[None]:
        with closing(servers.admin("analytics")) as connection:
            connection.execute("BEGIN")
            connection.execute(f'LOCK TABLE "{TABLE}" IN ACCESS EXCLUSIVE MODE')
            with repeated(lambda: ask(service, "/api/events?limit=1"), threads=4 * POOL_SIZE):
                try:
                    yield
                finally:
                    connection.execute("ROLLBACK")

    @contextmanager
    def pending_migration() -> Iterator[None]:
        row = "app = 'reporting' AND name = '0001_initial'"
        servers.ask("analytics", f"DELETE FROM django_migrations WHERE {row}")
        try:
            yield
        finally:
            values = "('reporting', '0001_initial', now())"
            servers.ask("analytics", f"INSERT INTO django_migrations (app, name, applied) VALUES {values}")

    return {
        "paused standby": lambda: servers.paused("replica"),
        "slow analytics": lambda: repeated(lock_for_a_moment),
        "writer on legacy": lambda: repeated(lambda: ask(service, WRITE_LEGACY)),
        "exhausted pool": exhausted_pool,
        "pending migration": pending_migration,
    }


def problems(page: Page) -> Locator:
    """Return the lines of the page's list of problems."""
    return page.get_by_role("list", name="Problems now").get_by_role("listitem")


def lines(page: Page) -> list[str]:
    """Return the texts of these lines, as a person reads them."""
    return [re.sub(r"\s+", " ", text).strip() for text in problems(page).all_inner_texts()]


def named(page: Page) -> set[str]:
    """Return which faults the page names."""
    return {meaning for line in lines(page) for pattern, meaning in MEANINGS.items() if re.search(pattern, line)}


def test_faults__named_by_the_page_alone(servers: Servers, service: Gunicorn) -> None:
    """Each fault is named within ten seconds, with its alias and on no other alias, and is taken back when mended."""
    made = list(faults(servers, service).items())
    random.shuffle(made)
    took: dict[str, float] = {}
    with (
        chromium() as browser,
        opened(browser, service.port) as page,
        repeated(lambda: ask(service, "/api/events?limit=1")),
    ):
        sign_in(page)
        calm = page.get_by_text("Nothing needs attention.")
        expect(calm).to_be_visible(timeout=60_000)
        for name, fault in made:
            begun_at = time.monotonic()
            with fault():
                until(lambda: bool(named(page)), f"the page names a fault; there is: {name}", seconds=30)
                took[name] = time.monotonic() - begun_at
                shown = lines(page)

                assert named(page) == {name}, shown
                assert {line.split()[0] for line in shown} == {ALIASES[name]}, shown
                expect(cells(page, "Aliases", ALIASES[name]).nth(1).locator(".state")).to_have_class(
                    re.compile(r"\b(warning|error)\b")
                )
            mended_at = time.monotonic()
            expect(calm).to_be_visible(timeout=TAKEN_BACK_WITHIN_SECONDS * 1000)
            print(f"{name}: named after {took[name]:.1f} s, back after {time.monotonic() - mended_at:.1f} s: {shown}")
            # The share of slow calls goes up and down as long as some are calls of the fault.
            time.sleep(SLOW_SPAN_SECONDS)
            expect(calm).to_be_visible()

    assert took.keys() == ALIASES.keys()
    assert {name: seconds for name, seconds in took.items() if seconds > NAMED_WITHIN_SECONDS} == {}
