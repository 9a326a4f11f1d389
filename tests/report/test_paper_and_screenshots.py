"""A report on paper and in a picture of the whole page: nothing is cut, and nothing is missing."""

import re
import shutil
import subprocess

import pandas as pd
import pytest

from fraud_ae.report.page import write_report
from tests.browsers import NEEDS_BROWSER, browsers
from tests.report.made import WINNER, MadeExperiment
from tests.report.test_page import experiment
from tests.report.test_report_browser import CHARTS, DRAWN

pytestmark = NEEDS_BROWSER

_COMPARED = ("auc", "auc_low", "auc_high", "average_precision")


def compared(name: str, **values: object) -> dict:
    """A row of a comparison in which nothing is missing."""
    period = {"from": "2024-01-02T00:00:00+00:00", "to": "2024-04-05T00:00:00+00:00"}
    more = {"in_production": "2024-05-06T10:00:00+00:00", "threshold": 0.5, "alert_rate": 0.05}
    return experiment(name, "custom", 0.9, rows=10_000, fraud_ratio=0.06) | period | more | values


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The folder of an experiment with everything, and its report."""
    made = MadeExperiment(tmp_path_factory.mktemp("made"))
    made.features()
    made.gate()
    for stage in ("broad", "refined", "final", "production", "top_transactions"):
        getattr(made, stage)()
    write_report(made.folder)
    return made.folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The folder of an experiment whose leaderboard has many columns, compared with another."""
    made = MadeExperiment(tmp_path_factory.mktemp("wide") / "an_experiment_with_a_long_name")
    made.folder.mkdir()
    made.features()
    made.gate()
    further = ("trainer.weight_decay", "model.input_noise", "model.normalization_layer")
    values = dict.fromkeys(further[:2], (0.00025, 0.0001)) | {further[2]: ("batch", "layer")}
    made.broad(values)
    for stage in ("refined", "final", "production", "top_transactions"):
        getattr(made, stage)()
    rows = [
        compared(
            name,
            parameters="model.latent_dim=16 trainer.learning_rate=0.00025",
            strategy="combined",
            **{f"{part}_{key}": 0.91 for part in ("validation", "test") for key in _COMPARED},
        )
        for name in (made.folder.name, f"{made.folder.name}_later")
    ]
    write_report(made.folder, pd.DataFrame(rows))
    return made.folder


@pytest.fixture(scope="module")
def browser():
    with browsers() as launch:
        yield launch()


@pytest.fixture
def opened(browser):
    """Opens the report of a folder."""
    contexts = []

    def opened(folder, scheme: str = "light", drawn: bool = True):
        size = {"width": 1280, "height": 900}
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme, offline=True))
        page = contexts[-1].new_page()
        page.goto((folder / "report.html").as_uri())
        if drawn:
            page.wait_for_function(DRAWN, timeout=60_000)
        return page

    yield opened
    for context in contexts:
        context.close()


# A4 at 96 dots an inch, less 15 and 25.4 mm on either side.
@pytest.mark.parametrize("width", [680, 601])
def test_on_paper_everything_fits_and_nothing_scrolls(opened, wide, width):
    page = opened(wide)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": width, "height": 900})
    found = page.evaluate(
        """(width) => {
          const told = (e) => `${e.tagName}.${e.getAttribute("class")}: ${e.textContent}`;
          const all = [...document.querySelectorAll("body *")];
          const shown = all.filter((e) => e.checkVisibility());
          const html = shown.filter((e) => !e.closest("svg, .gl-container, th.plot"));
          const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflow);
          const cells = html.filter((e) => e.matches("td, th"));
          return {
            wide: html.filter((e) => e.getBoundingClientRect().right > width + 1).map(told),
            scrolling: html.filter(scrolls).map(told),
            spilling: cells.filter((e) => e.scrollWidth > e.clientWidth + 1).map(told),
            smallest: Math.min(...cells.map((e) => parseFloat(getComputedStyle(e).fontSize))),
            page: document.documentElement.scrollWidth,
          };
        }""",
        width,
    )
    assert found["wide"] == found["scrolling"] == found["spilling"] == []
    assert found["smallest"] >= 7
    assert found["page"] <= width
    for name in CHARTS:
        box = page.locator(f"#{name} .svg-container").bounding_box()
        assert 0 < box["x"] + box["width"] <= width + 1, name
        assert box["height"] <= page.locator(f"#{name}").bounding_box()["height"] + 1
    for control in ("#theme", ".contents", ".controls", "#threshold"):
        assert not page.locator(control).first.is_visible()


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils are not installed")
def test_a_pdf_holds_every_column_within_its_margins(opened, wide, tmp_path):
    page = opened(wide)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.pdf(path=tmp_path / "report.pdf", format="A4", prefer_css_page_size=True)
    run = ["pdftotext", "-bbox", str(tmp_path / "report.pdf"), "-"]
    boxes = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    width = float(re.search(r'page width="([\d.]+)"', boxes)[1])
    assert width == pytest.approx(595, abs=1)
    words = re.findall(r'xMin="([\d.-]+)".*? xMax="([\d.-]+)".*?>(.*?)</word>', boxes)
    assert {"caught", "epoch", "winner", WINNER[:7]} <= {word for *_, word in words}
    text = ["pdftotext", str(tmp_path / "report.pdf"), "-"]
    printed = subprocess.run(text, capture_output=True, text=True, check=True).stdout
    printed = re.sub(r"\s", "", printed).casefold()
    for heading in page.locator(".board thead th").all_inner_texts():
        assert re.sub(r"\s", "", heading).casefold() in printed
    assert min(float(left) for left, *_ in words) >= 41
    assert max(float(right) for _, right, _ in words) <= width - 41


def test_charts_follow_the_window_and_come_back_from_paper(opened, usual):
    page = opened(usual)
    wide = "Math.round(document.getElementById('losses')._fullLayout.width) === {}"
    drawn = round(page.locator("#losses").bounding_box()["width"])
    page.set_viewport_size({"width": 600, "height": 900})
    narrow = round(page.locator("#losses").bounding_box()["width"])
    assert narrow < drawn
    page.wait_for_function(wide.format(narrow))
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(media="screen")
    page.wait_for_function(wide.format(drawn))


def test_whoever_reads_in_the_dark_prints_on_white(opened, usual):
    page = opened(usual, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    text = "getComputedStyle(document.body).color"
    assert page.evaluate(text) == "rgb(29, 28, 26)"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate(text) == "rgb(29, 28, 26)"


def test_without_scrolling_all_charts_are_drawn(opened, usual):
    page = opened(usual, drawn=False)
    page.wait_for_function(DRAWN, timeout=30_000)
    assert page.evaluate("scrollY") == 0
    for name in CHARTS:
        box = page.locator(f"#{name} .main-svg").first.bounding_box()
        assert box["width"] > 150, name
    below = [page.locator(f"#{name}").bounding_box()["y"] for name in CHARTS]
    assert min(below) > 900
    page.screenshot(full_page=True)
    assert page.evaluate("scrollY") == 0


def test_a_page_that_is_never_painted_is_drawn_all_the_same(browser, usual):
    context = browser.new_context()
    page = context.new_page()
    never = (
        "() => { window.requestAnimationFrame = () => 0; window.requestIdleCallback = undefined }"
    )
    page.add_init_script(f"({never})(); delete window.requestIdleCallback;")
    page.goto((usual / "report.html").as_uri())
    page.wait_for_function(DRAWN, polling=100)
    assert page.locator("#roc svg").count() > 0
    assert page.locator("#histogram svg").count() > 0
    context.close()
