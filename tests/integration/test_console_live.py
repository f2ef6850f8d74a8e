"""The console in a real browser keeps itself up to date, and says when it cannot."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.integration.conftest import environment, manage
from tests.support.console_page import CHROMIUM, cells, chromium, opened, sign_in
from tests.support.gunicorn import Gunicorn, serving
from tests.support.servers import Servers
from tests.support.service import Service, embedded_environ, running
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="the console's page: no Chromium is installed")
DATA = "**/console/data?*"
SHOWN_WITHIN_SECONDS = 2.0
# The pixels of the chart that have the colour of reads.
READ_PIXELS = """() => {
  const probe = document.body.appendChild(Object.assign(document.createElement('i'), {className: 'probe read'}));
  const wanted = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
  probe.remove();
  const canvas = document.querySelector('#chart-replica canvas');
  if (!canvas) return -1;
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length; at += 4) found += wanted.every((value, n) => data[at + n] === value);
  return found;
}"""

# The milliseconds from each answer to the next request.
RECORD_PAUSES = """() => {
  const ask = window.fetch;
  let answered;
  window.pauses = [];
  window.fetch = async (...given) => {
    if (answered) pauses.push(Date.now() - answered);
    const answer = await ask(...given);
    answered = Date.now();
    return answer;
  };
}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with its sample data."""
    with running(embedded_environ(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("drivers"))) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """A page on the console, which is live."""
    with opened(browser, service.port) as page:
        page.clock.install()
        sign_in(page)
        expect(connection(page)).to_have_text("Live")
        yield page


def connection(page: Page):
    """Return the element that says whether the page is up to date."""
    return page.locator("#connection")


def asked(page: Page, seconds: int) -> int:
    """Return how often the page asks for data while its clock runs for so long."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/console/data" in request.url else None)
    for _ in range(seconds):
        page.clock.run_for(1000)
        page.evaluate("fetch('/livez').then((answer) => answer.text())")  # so that an answer for the page arrives, too
    return len(requests)


def test_live__load_starts(browser: Browser, service: Service) -> None:
    """When load starts, the chart of the alias grows, and its numbers change, without a click."""
    with opened(browser, service.port) as page:
        sign_in(page)
        page.wait_for_selector("#chart-replica canvas")
        replica = cells(page, "Aliases", "replica").nth(2)
        expect(replica).to_contain_text("0/s")
        before = page.evaluate(READ_PIXELS)
        for _ in range(200):
            assert service.ask("GET", "/api/users?limit=1")[0] == 200

        expect(replica).to_contain_text("read", timeout=20_000)
        until(lambda: page.evaluate(READ_PIXELS) > before + 20, "the chart of the reads grows")
        expect(page.get_by_role("img", name="replica (SQLite, fit) is its replica. It gets")).to_have_count(1)


def test_live__polls(page: Page) -> None:
    """The page asks a second after each answer."""
    page.evaluate(RECORD_PAUSES)
    until(lambda: page.evaluate("pauses.length") >= 5, "the page has asked")

    pauses_ms = page.evaluate("pauses")
    assert min(pauses_ms) >= 990
    assert median(pauses_ms) < 2000


def test_live__paused(page: Page) -> None:
    """A paused page does not ask, and says so; it asks again when a person continues."""
    page.get_by_role("button", name="Pause").click()

    expect(connection(page)).to_have_text("Paused")
    assert asked(page, 5) == 0

    page.get_by_role("button", name="Pause").click()
    expect(connection(page)).to_have_text("Live")


def test_live__hidden_tab(page: Page) -> None:
    """A page in a hidden tab does not ask; it asks at once when the tab is shown."""
    change = (
        "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.evaluate(change % "true")
    assert asked(page, 5) == 0

    with page.expect_response(DATA):
        page.evaluate(change % "false")


def test_live__connection_lost(page: Page) -> None:
    """The page says that the connection is lost and how old the numbers are, and comes back by itself."""
    page.route(DATA, lambda route: route.abort())
    page.clock.run_for(4000)
    expect(connection(page)).to_contain_text("Connection lost")
    page.clock.run_for(4000)

    expect(page.locator("#age")).to_have_text(re.compile(r"^(8|9|\d\d) s old$"))  # the clock of the browser goes on
    page.unroute(DATA)
    page.clock.run_for(2000)
    expect(connection(page)).to_have_text("Live")
    expect(page.locator("#age")).to_have_text("")


def test_live__signed_out(page: Page) -> None:
    """A page whose session has ended says so."""
    page.context.clear_cookies()
    page.clock.run_for(2000)

    expect(connection(page)).to_contain_text("Signed out")


def test_live__keeps_what_a_person_does(page: Page) -> None:
    """An update keeps the focus, the open details, and the text that a person types."""
    page.get_by_text("All rules for reads").click()
    page.get_by_label("Model").fill("accounts.Us")
    with page.expect_response(DATA):
        page.clock.run_for(1500)
    page.evaluate("fetch('/livez').then((answer) => answer.text())")

    expect(page.get_by_label("Model")).to_be_focused()
    expect(page.get_by_label("Model")).to_have_value("accounts.Us")
    expect(page.get_by_text("override: inside use_primary")).to_be_visible()


@pytest.fixture
def gunicorn(servers: Servers, tmp_path: Path) -> Iterator[Gunicorn]:
    """The service on the four servers, with two workers that share a directory, and with an administrator."""
    given = {**servers.environ(), "METRICS_DIR": str(tmp_path / "metrics"), "DATA_DIR": str(tmp_path)}
    servers.clean()
    administrator = ("--username", "admin", "--email", "admin@example.com", "--noinput")
    made = manage("createsuperuser", *administrator, **given, DJANGO_SUPERUSER_PASSWORD="dev")
    assert made.returncode == 0, made.stderr
    servers.caught_up()
    with serving({**environment(**given), "SERVED_OVER_HTTPS": "false"}, "--workers", "2") as service:
        yield service


@pytest.mark.docker
def test_live__standby_dies(browser: Browser, servers: Servers, gunicorn: Gunicorn) -> None:
    """The page shows a standby that was killed within two seconds, in the table, in the picture and at the top.

    A busy machine shows some deaths later, so one of three has to be shown in time.
    """
    with opened(browser, gunicorn.port) as page:
        sign_in(page)
        state = cells(page, "Aliases", "replica").nth(1)
        for _ in range(3):
            expect(state).to_contain_text("fit", timeout=30_000)
            with servers.killed("replica"):
                killed_at = time.monotonic()
                expect(state).to_contain_text("down", timeout=10_000)
                took = time.monotonic() - killed_at
                print(f"shown after {took:.2f} s")

                expect(page.locator(".findings")).to_contain_text("replica down since")
                expect(page.locator(".drawing.wide .alias.unfit")).to_have_count(1)
                expect(page.locator(".drawing.wide .flow.unused")).to_have_count(1)
            if took < SHOWN_WITHIN_SECONDS:
                break
        expect(state).to_contain_text("fit", timeout=30_000)

        assert took < SHOWN_WITHIN_SECONDS
