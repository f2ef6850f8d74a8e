"""The console in a real browser: the Chromium of this machine, pages that fail on an error, and a sign-in."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser for this block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, port: int, **options: Any) -> Iterator[Page]:
    """Open an empty page of a browser that is not signed in; an error of a script, a style or the server fails.

    The options are those of Playwright's `new_context()`.
    """
    context = browser.new_context(base_url=f"http://localhost:{port}", **options)
    page = context.new_page()
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.on("console", lambda line: failed.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("response", lambda response: failed.append(response.url) if response.status >= 500 else None)
    try:
        yield page
    finally:
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


def cells(page: Page, section: str, name: str) -> Locator:
    """Return the cells of a row in the section's table."""
    return (
        page.get_by_role("region", name=section, exact=True)
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name=name, exact=True))
        .get_by_role("cell")
    )


def row(page: Page, section: str, name: str) -> list[str]:
    """Return the texts of the cells in a row of the section's table."""
    return [text.strip() for text in cells(page, section, name).all_inner_texts()]
