"""A report on paper and in a picture of the whole page: nothing is cut, and nothing is missing."""

import re
import shutil
import subprocess

import pytest

from fraud_ae.report.page import write_report
from tests.browsers import NEEDS_BROWSER, browsers
from tests.report.made import MadeExperiment
from tests.report.test_report_browser import CHARTS, DRAWN

pytestmark = NEEDS_BROWSER

# A4 less the margins of the page, in CSS pixels.
PAPER_WIDTH = round((210 - 2 * 15) / 25.4 * 96)
WIDE = {
    "encoder.scaling": ("standard", "quantile"),
    "model.hidden_sizes": ("[64,32]", "[128,64]"),
    "trainer.weight_decay": (0.0, 0.0001),
}


@pytest.fixture(scope="module", params=["usual", "many parameters"])
def report(request, tmp_path_factory):
    made = MadeExperiment(tmp_path_factory.mktemp("made"))
    made.features()
    made.gate()
    made.broad(WIDE if request.param == "many parameters" else None)
    for stage in ("refined", "final", "production", "top_transactions"):
        getattr(made, stage)()
    return write_report(made.folder)


@pytest.fixture
def page(report):
    with browsers() as launch:
        page = launch().new_page(viewport={"width": 1280, "height": 900})
        page.goto(report.as_uri())
        yield page


def test_everything_is_drawn_without_a_scroll(page):
    page.wait_for_function(DRAWN, timeout=60_000)
    empty = page.evaluate(
        "names => names.filter(name => !document.querySelector(`#${name} .main-svg`))", CHARTS
    )
    assert empty == []
    assert page.evaluate("scrollY") == 0


def test_no_table_and_no_chart_is_wider_than_an_a4_page(page):
    page.wait_for_function(DRAWN, timeout=60_000)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER_WIDTH, "height": 1000})
    wider = page.evaluate(
        """width => [...document.querySelectorAll("table, figure, pre, .chart, .headline")]
          .filter(part => part.checkVisibility())
          .filter(part => part.getBoundingClientRect().right > width + 1)
          .map(part => `${part.tagName} ${part.className} ${part.id}`)""",
        PAPER_WIDTH,
    )
    assert wider == []
    scrolling = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
          .filter(part => part.checkVisibility() && part.scrollWidth > part.clientWidth + 1)
          .filter(part => ["auto", "scroll"].includes(getComputedStyle(part).overflowX))
          .map(part => part.className)"""
    )
    assert scrolling == []


def test_the_columns_of_the_leaderboards_are_on_the_paper(page, tmp_path):
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("there is no pdftotext to read a PDF with")
    page.wait_for_function(DRAWN, timeout=60_000)
    for details in page.query_selector_all("details"):
        details.evaluate("part => part.open = true")
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True, print_background=True)
    text = subprocess.run(
        [pdftotext, tmp_path / "report.pdf", "-"], capture_output=True, text=True, check=True
    ).stdout
    descriptions = re.sub(r"\s", "", text)
    # The first and the last column of a leaderboard.
    for header in page.locator(".board thead tr").all():
        for cell in header.locator("th").all_inner_texts():
            assert re.sub(r"\s", "", cell).casefold() in descriptions.casefold()
