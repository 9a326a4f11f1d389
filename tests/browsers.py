"""A real browser, where there is one, that asks nobody for anything."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
try:
    from playwright.sync_api import expect, sync_playwright
except ModuleNotFoundError:
    expect = sync_playwright = None

# For `pytestmark` of a module, or as decorators.
NEEDS_BROWSER = [
    pytest.mark.skipif(sync_playwright is None, reason="playwright is not installed"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
]
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

__all__ = ["NEEDS_BROWSER", "browsers", "expect"]


@contextmanager
def browsers() -> Iterator[Callable]:
    """Gives a function that starts a browser with further arguments; all are closed at the end."""
    with sync_playwright() as playwright:
        started = []

        def launch(*further: str):
            arguments = [*_ARGUMENTS, *further]
            started.append(playwright.chromium.launch(executable_path=CHROMIUM, args=arguments))
            return started[-1]

        yield launch
        for browser in started:
            browser.close()
