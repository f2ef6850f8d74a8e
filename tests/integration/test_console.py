"""The console in a real browser, on the service as `make run` starts it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.support.service import Service, embedded_environ, running

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="the console's page: no Chromium is installed")
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with its sample data."""
    with running(embedded_environ(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("drivers"))) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, service: Service) -> Iterator[Page]:
    """An empty page of a browser that is not signed in; it fails the test if a script or a style fails."""
    context = browser.new_context(base_url=f"http://localhost:{service.port}")
    page = context.new_page()
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda line: failed.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("response", lambda response: failed.append(response.url) if response.status >= 500 else None)
    yield page
    context.close()

    assert failed == []


def sign_in(page: Page) -> None:
    """Open the service's address, sign in, and wait for the console and its styles: clicks do not wait for them."""
    page.goto("/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("dev")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Aliases")).to_be_visible()
    page.wait_for_load_state()


def row(page: Page, section: str, name: str) -> list[str]:
    """Return the texts of the cells in a row of the section's table."""
    line = (
        page.get_by_role("region", name=section)
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name=name, exact=True))
    )
    return [text.strip() for text in line.get_by_role("cell").all_inner_texts()]


def test_console__signed_in(page: Page) -> None:
    """The address of the service leads to the console, which shows each alias with its role and state."""
    sign_in(page)

    assert row(page, "Aliases", "default")[0] == "primary"
    assert row(page, "Aliases", "replica") == ["replica of default", "SQLite", "fit", "none"]
    assert row(page, "Aliases", "legacy")[2] == "read-only"


def test_console__volume(page: Page, service: Service) -> None:
    """The next page shows the queries of a request: two reads of users are two more reads of the replica."""
    sign_in(page)
    page.goto("/console/?paused")
    before = int(row(page, "Query volume", "replica")[0])

    for _ in range(2):
        assert service.ask("GET", "/api/users?limit=1")[0] == 200
    page.reload()

    assert int(row(page, "Query volume", "replica")[0]) == before + 2


def test_console__routes(page: Page) -> None:
    """The page shows each model with its read alias, its write alias and the rule."""
    sign_in(page)

    assert row(page, "Routes", "accounts.User") == ["replica", "default", "default", "replica"]
    assert row(page, "Routes", "sessions.Session") == ["default", "default", "default", "primary_only"]


def test_console__refreshes(page: Page) -> None:
    """The page loads itself again every few seconds, until it is paused."""
    sign_in(page)
    refresh = page.locator("meta[http-equiv=refresh]")
    expect(refresh).to_have_count(1)

    page.get_by_role("link", name="Pause").click()

    expect(refresh).to_have_count(0)
    expect(page.get_by_role("link", name="Refresh every 5 s")).to_be_visible()


def test_console__narrow_screen(browser: Browser, service: Service) -> None:
    """On a narrow screen the tables scroll inside their sections, and the page does not scroll sideways."""
    context = browser.new_context(base_url=f"http://localhost:{service.port}", viewport={"width": 375, "height": 800})
    page = context.new_page()
    sign_in(page)

    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()

    assert width == 375


def test_console__not_signed_in(page: Page) -> None:
    """Only a signed-in member of staff sees the page."""
    page.goto("/console/")

    expect(page.get_by_label("Password")).to_be_visible()
    assert "Query volume" not in page.content()


def test_console__nothing_that_names_a_host(page: Page, tmp_path: Path) -> None:
    """The page shows no file, host or user of a database."""
    sign_in(page)

    assert "sqlite3" not in page.content()
    assert str(Path.home()) not in page.content()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/console/?paused", "Query volume"),
        ("/admin/", "Site administration"),
        ("/admin/accounts/user/", "Select user to change"),
        ("/admin/accounts/user/add/", "Add user"),
        ("/admin/accounts/user/1/change/", "Change user"),
        ("/admin/accounts/user/1/delete/", "Delete"),
        ("/admin/password_change/", "Password change"),
    ],
)
def test_pages__under_the_content_security_policy(page: Page, path: str, shown: str) -> None:
    """Each page has a policy, and breaks no rule of it."""
    sign_in(page)
    response = page.goto(path)

    assert response
    assert "default-src 'self'" in response.headers["content-security-policy"]
    expect(page.get_by_role("heading", name=shown).first).to_be_visible()


def test_pages__documentation_under_the_content_security_policy(page: Page) -> None:
    """The page of the API's documentation shows the operations, and a click on one shows its parameters."""
    sign_in(page)
    response = page.goto("/api/docs")

    assert response
    assert "default-src 'self'" in response.headers["content-security-policy"]
    page.get_by_text("/api/users/{user_id}").first.click()
    expect(page.get_by_text("Return one user.").last).to_be_visible()


def test_pages__with_an_injected_script(browser: Browser, service: Service) -> None:
    """The browser runs no script that a page's text holds."""
    context = browser.new_context(base_url=f"http://localhost:{service.port}")
    page = context.new_page()
    sign_in(page)
    with page.expect_console_message(lambda line: "Content Security Policy" in line.text):
        page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=/x onerror=\"window.injected = 1\">')")
    injected = page.evaluate("window.injected")
    context.close()

    assert injected is None
