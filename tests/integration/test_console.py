"""The console in a real browser, on the service as `make run` starts it: what it shows, and to whom."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect
from tests.support.console_page import CHROMIUM, chromium, opened, row, sign_in
from tests.support.service import Service, embedded_environ, running

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="the console's page: no Chromium is installed")
NARROW = {"width": 360, "height": 800}
LAPTOP = {"width": 1280, "height": 800}
WALL = {"width": 2560, "height": 1300}


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
    """An empty page of a browser that is not signed in."""
    with opened(browser, service.port) as page:
        yield page


def open_details(page: Page) -> None:
    """Open everything that a reader can open."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")


def test_console__signed_in(page: Page) -> None:
    """The address of the service leads to the console, which shows each alias with its role, vendor and state."""
    sign_in(page)

    assert row(page, "Aliases", "default")[0].split("\n") == ["primary", "SQLite"]
    assert row(page, "Aliases", "replica")[0].split("\n") == ["replica of default", "SQLite"]
    assert row(page, "Aliases", "replica")[1].startswith("fit\n")
    assert row(page, "Aliases", "legacy")[1].startswith("read-only\n")


def test_console__topology(page: Page) -> None:
    """The picture has an owner's apps and its replica, also in words for people who do not see it."""
    sign_in(page)
    picture = page.get_by_role("region", name="Topology").get_by_role("img", name="default (SQLite, read-write) owns")

    expect(picture).to_have_count(1)
    assert re.search(
        r"owns .*\baccounts\b.* replica \(SQLite, fit\) is its replica", picture.get_attribute("aria-label")
    )
    assert {"accounts", "sessions", "default", "replica"} <= set(picture.locator("text, tspan").all_text_contents())


def test_console__routes(page: Page) -> None:
    """The page shows each model with its read alias, its write alias and the rule."""
    sign_in(page)

    assert row(page, "Routes", "accounts.User") == ["replica", "default", "default", "replica"]
    assert row(page, "Routes", "sessions.Session") == ["default", "default", "default", "primary_only"]


def test_console__without_scripts(browser: Browser, service: Service) -> None:
    """A browser that runs no scripts shows the tables and the picture, and a form that a person can send."""
    with opened(browser, service.port, java_script_enabled=False) as page:
        sign_in(page)
        aliases = row(page, "Aliases", "replica")
        page.get_by_text("Queries since the counters began").click()
        totals = page.get_by_role("group", name="Queries, scrolls sideways").get_by_role("row").count()
        page.get_by_label("replicas down").check()
        page.get_by_role("button", name="Show the route").click()

        assert aliases[1].startswith("fit\n")
        assert totals == 5
        expect(page.get_by_role("region", name="Where does it go?")).to_contain_text("default down")
        assert page.get_by_label("replicas down").is_checked()
        assert page.get_by_role("img", name="default (SQLite, read-write) owns").count() == 1
        expect(page.get_by_role("link", name="Load it again.")).to_be_visible()


def test_console__route_of_the_form(page: Page) -> None:
    """What a person picks changes the answer at once, and the address, so that it can be sent to others."""
    sign_in(page)
    answer = page.get_by_role("region", name="Where does it go?").get_by_role("status")
    expect(answer).to_contain_text("replica replica")

    page.get_by_label("unsafe method").check()
    expect(answer).to_contain_text("default unsafe_method")
    page.get_by_label("Model").fill("legacy.Customer")
    page.get_by_label("Model").press("Enter")

    expect(answer).to_contain_text("legacy owner")
    assert "model=legacy.Customer&unsafe_method=1" in page.url


def test_console__keyboard(page: Page) -> None:
    """The Tab key reaches everything that a person can use, in the order of the page, with a visible focus."""
    sign_in(page)
    page.wait_for_selector(".scripted")
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            """() => { const e = document.activeElement;
            const outline = getComputedStyle(e).outlineStyle !== 'none' || e.className === 'skip';
            const name = e.getAttribute('aria-label') || e.name || e.textContent.trim();
            return e === document.body ? null : [name, outline] }"""
        )
        if focused is None:
            break
        assert focused[1], f"The focus on {focused[0]} is not visible."
        reached.append(focused[0])

    assert reached[:5] == [
        "Skip to the content",
        "Pause",
        "Decisions of the last minute as a table",
        "Queries since the counters began",
        "Statements, scrolls sideways",
    ]
    assert reached[5:10] == ["model", "in_transaction", "has_written", "unsafe_method", "replicas_down"]
    assert {"Violations, scrolls sideways", "Routes, scrolls sideways"} <= set(reached)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [NARROW, LAPTOP, WALL], ids=lambda size: f"{size['width']}px")
def test_console__accessible(browser: Browser, service: Service, scheme: str, viewport: dict[str, int]) -> None:
    """Axe finds no violation of its rules, contrasts included, with everything open."""
    with opened(browser, service.port, color_scheme=scheme, viewport=viewport) as page:
        sign_in(page)
        page.wait_for_selector(".uplot")
        open_details(page)
        found = Axe().run(page)

        assert found.response["violations"] == [], found.generate_report()
        assert len(found.response["passes"]) > 20


@pytest.mark.parametrize("width", [360, 768, 1280, 2560])
def test_console__no_scrolling_sideways(browser: Browser, service: Service, width: int) -> None:
    """Wide tables scroll inside their sections; the page itself never scrolls sideways."""
    with opened(browser, service.port, viewport={"width": width, "height": 800}) as page:
        sign_in(page)
        page.wait_for_selector(".uplot")
        open_details(page)

        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_console__not_signed_in(page: Page) -> None:
    """Only a signed-in member of staff sees the page."""
    page.goto("/console/")

    expect(page.get_by_label("Password")).to_be_visible()
    assert "Topology" not in page.content()


def test_console__nothing_that_names_a_host(page: Page) -> None:
    """The page shows no file, host or user of a database."""
    sign_in(page)

    assert "sqlite3" not in page.content()
    assert str(Path.home()) not in page.content()


def test_console__no_other_host(page: Page, service: Service) -> None:
    """The browser asks only the service for anything."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page)
    page.wait_for_selector(".uplot")

    assert len(asked) > 5
    assert [url for url in asked if not url.startswith(f"http://localhost:{service.port}/")] == []


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/console/", "Topology"),
        ("/admin/", "Site administration"),
        ("/admin/accounts/user/", "Select user to change"),
        ("/admin/accounts/user/add/", "Add user"),
        ("/admin/accounts/user/1/change/", "Change user"),
        ("/admin/accounts/user/1/delete/", "Delete"),
        ("/admin/password_change/", "Password change"),
    ],
)
def test_pages__under_the_content_security_policy(page: Page, path: str, shown: str) -> None:
    """Each page has a policy without exceptions for scripts and styles, and breaks no rule of it."""
    sign_in(page)
    response = page.goto(path)

    assert response
    policy = response.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
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
