"""A report on paper: nothing is cut, and nothing is missing."""

import re
import shutil
import subprocess

import pandas as pd
import pytest

from fraud_ae.report.page import write_report
from tests.browsers import NEEDS_BROWSER
from tests.report.made import WINNER, MadeExperiment, compared
from tests.report.test_report_browser import CHARTS

pytestmark = [*NEEDS_BROWSER, pytest.mark.slow]

_COMPARED = ("auc", "auc_low", "auc_high", "average_precision")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The folder of an experiment whose leaderboard has many columns, compared with another."""
    folder = tmp_path_factory.mktemp("wide") / "an_experiment_with_a_long_name"
    folder.mkdir()
    numbers = dict.fromkeys(("trainer.weight_decay", "model.input_noise"), (0.00025, 0.0001))
    MadeExperiment(folder, calibrated=True).whole(
        **numbers, **{"model.normalization_layer": ("batch", "layer")}
    )
    values = {
        "data": "custom",
        "from": "2024-01-02T00:00:00+00:00",
        "to": "2024-04-05T00:00:00+00:00",
        "rows": 10_000,
        "fraud_ratio": 0.06,
        "parameters": "model.latent_dim=16 trainer.learning_rate=0.00025",
        "strategy": "combined",
        "in_production": "2024-05-06T10:00:00+00:00",
        "threshold": 0.5,
        "alert_rate": 0.05,
        **{f"{part}_{key}": 0.91 for part in ("validation", "test") for key in _COMPARED},
    }
    rows = [compared(name, **values) for name in (folder.name, f"{folder.name}_later")]
    write_report(folder, pd.DataFrame(rows))
    return folder


@pytest.fixture(scope="module")
def page(opened, wide):
    """The report of that folder with all details opened."""
    page = opened(wide)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    return page


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils are not installed")
def test_a_pdf_holds_every_column_within_its_margins(page, tmp_path):
    page.pdf(path=tmp_path / "report.pdf", format="A4", prefer_css_page_size=True)

    def text(*options: str) -> str:
        run = ["pdftotext", *options, str(tmp_path / "report.pdf"), "-"]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout

    boxes = text("-bbox")
    width = float(re.search(r'page width="([\d.]+)"', boxes)[1])
    assert width == pytest.approx(595, abs=1)
    words = re.findall(r'xMin="([\d.-]+)".*? xMax="([\d.-]+)".*?>(.*?)</word>', boxes)
    assert {"caught", "epoch", "winner", WINNER[:7]} <= {word for *_, word in words}
    printed = re.sub(r"\s", "", text()).casefold()
    for heading in page.locator(".board thead th").all_inner_texts():
        assert re.sub(r"\s", "", heading).casefold() in printed
    assert min(float(left) for left, *_ in words) >= 41
    assert max(float(right) for _, right, _ in words) <= width - 41


# A4 at 96 dots an inch, less 15 and 25.4 mm on either side.
@pytest.mark.parametrize("width", [680, 601])
def test_on_paper_everything_fits_and_nothing_scrolls(page, width):
    page.emulate_media(media="print")
    page.set_viewport_size({"width": width, "height": 900})
    layout = page.evaluate(
        """(width) => {
          const named = (e) => `${e.tagName}.${e.getAttribute("class")}: ${e.textContent}`;
          const all = [...document.querySelectorAll("body *")];
          const shown = all.filter((e) => e.checkVisibility());
          const html = shown.filter((e) => !e.closest("svg, .gl-container, th.plot"));
          const scrolls = (e) => /auto|scroll/.test(getComputedStyle(e).overflow);
          const cells = html.filter((e) => e.matches("td, th"));
          return {
            wide: html.filter((e) => e.getBoundingClientRect().right > width + 1).map(named),
            scrolling: html.filter(scrolls).map(named),
            spilling: cells.filter((e) => e.scrollWidth > e.clientWidth + 1).map(named),
            smallest: Math.min(...cells.map((e) => parseFloat(getComputedStyle(e).fontSize))),
            page: document.documentElement.scrollWidth,
          };
        }""",
        width,
    )
    assert layout["wide"] == layout["scrolling"] == layout["spilling"] == []
    assert layout["smallest"] >= 7
    assert layout["page"] <= width
    for name in CHARTS:
        box = page.locator(f"#{name} .svg-container").bounding_box()
        assert 0 < box["x"] + box["width"] <= width + 1, name
        assert box["height"] <= page.locator(f"#{name}").bounding_box()["height"] + 1
    for control in ("#theme", ".contents", ".controls", "#threshold"):
        assert not page.locator(control).first.is_visible()
