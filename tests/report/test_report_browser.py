"""The report as a browser shows it: drawn, moved, switched, and narrow."""

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from fraud_ae.evaluation.threshold import alerts, utc_days
from fraud_ae.report.content import report_content
from fraud_ae.report.page import write_report
from fraud_ae.run_store import SCORES, TEST_SCORES
from tests.browsers import NEEDS_BROWSER, browsers
from tests.report.made import PRODUCTION, WINNER, MadeExperiment
from tests.report.test_report_page import experiment

pytestmark = NEEDS_BROWSER

CHARTS = ("parallel", "heat", "losses", "roc", "pr", "histogram")
# Set once all charts are there, to the theme that they were drawn in.
DRAWN = "document.documentElement.dataset.drawn"
_COMPARED = ("auc", "auc_low", "auc_high", "average_precision")


def compared(name: str, **values: object) -> dict:
    """A row of a comparison in which nothing is missing."""
    period = {"from": "2024-01-02T00:00:00+00:00", "to": "2024-04-05T00:00:00+00:00"}
    more = {"in_production": "2024-05-06T10:00:00+00:00", "threshold": 0.5, "alert_rate": 0.05}
    return experiment(name, "custom", 0.9, rows=10_000, fraud_ratio=0.06) | period | more | values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
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
def launch():
    """Starts a browser with further arguments."""
    with browsers() as launch:
        yield launch


@pytest.fixture(scope="module")
def browser(launch):
    return launch()


@pytest.fixture(scope="module")
def opened(browser, folder):
    """Opens the report, and holds it to staying silent and asking for nothing."""
    contexts, complaints, requests, files = [], [], [], set()

    def opened(width: int = 1280, scheme: str = "light", of=folder, drawn: bool = True):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: requests.append(request.url))
        files.add((of / "report.html").as_uri())
        page.goto((of / "report.html").as_uri())
        if drawn:
            page.wait_for_function(DRAWN)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(requests) == files


@pytest.fixture(scope="module")
def page(opened):
    return opened()


def shown(page, part: str) -> dict[str, str]:
    """Figure -> what the explorer shows of a part."""
    outputs = page.locator(f"output[data-part={part}]").all()
    return {out.get_attribute("data-figure"): out.inner_text() for out in outputs}


def expected(rows: pd.DataFrame, threshold: float) -> dict[str, str]:
    """The same, from the scores themselves."""
    flagged = alerts(rows["score"].to_numpy(), threshold)
    is_fraud = rows["is_fraud"].to_numpy() == 1
    hits, caught = flagged & is_fraud, rows["amount"].to_numpy()[flagged & is_fraud].sum()
    precision, recall = hits.sum() / flagged.sum(), hits.sum() / is_fraud.sum()
    return {
        "alerts_per_day": f"{flagged.sum() / len(np.unique(utc_days(rows['timestamp']))):.1f}",
        "precision": f"{100 * precision:.1f}\xa0%",
        "recall": f"{100 * recall:.1f}\xa0%",
        "f1": f"{2 * precision * recall / (precision + recall):.4f}",
        "value": f"{100 * caught / rows['amount'].to_numpy()[is_fraud].sum():.1f}\xa0%",
        "true_positives": f"{hits.sum():,}",
        "false_positives": f"{(flagged & ~is_fraud).sum():,}",
        "false_negatives": f"{(is_fraud & ~flagged).sum():,}",
        "true_negatives": f"{(~is_fraud & ~flagged).sum():,}",
    }


def scores(folder) -> dict[str, pd.DataFrame]:
    return {
        "validation": pd.read_parquet(folder / "runs" / WINNER / SCORES),
        "test": pd.read_parquet(folder / "runs" / PRODUCTION / TEST_SCORES),
    }


def threshold_line(page) -> float:
    return page.evaluate("document.getElementById('histogram').data.at(-1).x[0]")


def test_every_chart_is_drawn_and_holds_its_data(page):
    for name in CHARTS:
        chart = page.locator(f"#{name}")
        assert chart.locator("svg").count() > 0, name
        assert chart.bounding_box()["height"] > 150
    assert page.evaluate("document.getElementById('parallel').data[0].dimensions.length") == 4
    assert page.locator("#parallel canvas").count() > 0
    assert page.locator("#heat .heatmaplayer image").count() == 1
    assert page.locator("#roc .scatterlayer path.js-line").count() == 3
    assert page.locator("#losses .scatterlayer path.js-line").count() == 4


def test_the_explorer_starts_at_the_chosen_threshold(page, folder):
    chosen = report_content(folder)["explorer"]
    threshold = chosen["thresholds"][chosen["start"]]
    assert threshold_line(page) == threshold
    for part, rows in scores(folder).items():
        assert shown(page, part) == expected(rows, threshold)


def test_moving_the_slider_shows_the_figures_of_that_threshold(page, folder):
    thresholds = report_content(folder)["explorer"]["thresholds"]
    before = shown(page, "test")
    for place in (3, 40, 150, len(thresholds) - 1):
        page.locator("#threshold").fill(str(place))
        for part, rows in scores(folder).items():
            assert shown(page, part) == expected(rows, thresholds[place])
        assert threshold_line(page) == thresholds[place]
    page.locator("#threshold").focus()
    page.keyboard.press("ArrowLeft")
    assert shown(page, "test") == expected(scores(folder)["test"], thresholds[-2])
    page.locator("#chosen").click()
    assert shown(page, "test") == before


def test_without_any_alert_there_is_no_precision(page):
    page.locator("#threshold").fill("0")
    found = shown(page, "validation")
    assert found["alerts_per_day"] == "0.0"
    assert found["precision"] == "–"
    assert found["recall"] == "0.0\xa0%"


def test_a_number_of_alerts_a_day_moves_the_threshold(page, folder):
    explored = report_content(folder)["explorer"]
    part = explored["parts"]["validation"]
    most = max(n for n in part["alerts"] if n / part["days"] <= 7.5)
    page.locator("#budget").fill("7.5")
    assert shown(page, "validation")["alerts_per_day"] == f"{most / part['days']:.1f}"
    assert part["alerts"][int(page.locator("#threshold").input_value())] == most


def test_other_parameters_and_the_best_redraw_the_heat_map(page, folder):
    board = pd.read_csv(folder / "leaderboards" / "broad.csv").dropna(subset=["final_auc"])

    def cells() -> list:
        return page.evaluate("document.getElementById('heat').data[0].z")

    def table(y: str, x: str, of: str) -> np.ndarray:
        return board.pivot_table("final_auc", y, x, aggfunc=of).to_numpy()

    np.testing.assert_allclose(cells(), table("model.activation", "model.latent_dim", "mean"))
    page.locator("#heat-x").select_option(label="learning_rate")
    np.testing.assert_allclose(cells(), table("model.activation", "trainer.learning_rate", "mean"))
    page.locator("#heat-of").select_option("best")
    np.testing.assert_allclose(cells(), table("model.activation", "trainer.learning_rate", "max"))
    assert page.locator("#heat .xtitle").text_content() == "learning_rate"


def test_the_button_switches_between_light_and_dark_and_redraws(page):
    def colours() -> tuple[str, str]:
        line = "document.getElementById('roc').data.at(-1).marker.color"
        return (
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
            page.evaluate(line),
        )

    light = colours()
    page.locator("#theme").click()
    page.wait_for_function(f"{DRAWN} === 'dark'")
    assert all(one != other for one, other in zip(light, colours(), strict=True))
    page.locator("#theme").click()
    page.wait_for_function(f"{DRAWN} === 'light'")
    assert colours() == light


def test_whoever_prefers_dark_gets_it(opened):
    page = opened(scheme="dark")
    assert page.evaluate(DRAWN) == "dark"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in background[4:-1].split(",")) < 50


@pytest.mark.parametrize("width", [375, 768])
def test_a_narrow_screen_scrolls_in_one_direction_alone(opened, width):
    page = opened(width=width)
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width
    for name in CHARTS[1:]:
        assert page.locator(f"#{name}").bounding_box()["width"] <= width


def test_without_webgl_the_reader_is_sent_to_the_table(launch, folder):
    page = launch("--disable-3d-apis").new_page()
    page.goto((folder / "report.html").as_uri())
    page.wait_for_function(DRAWN)
    assert "needs WebGL" in page.locator("#parallel").inner_text()
    assert page.locator("#roc svg").count() > 0


def test_tables_are_there_without_javascript(browser, folder):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "report.html").as_uri())
    assert page.locator("#explorer table.explored").is_visible()
    assert not page.locator("#histogram").is_visible()
    first = report_content(folder)["explorer"]
    threshold = first["thresholds"][first["start"]]
    assert shown(page, "test") == expected(scores(folder)["test"], threshold)
    context.close()


# A4 at 96 dots an inch, less 15 and 25.4 mm on either side.
@pytest.mark.parametrize("width", [680, 601])
def test_on_paper_everything_fits_and_nothing_scrolls(opened, wide, width):
    page = opened(of=wide)
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
    page = opened(of=wide)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.pdf(path=tmp_path / "report.pdf", format="A4", prefer_css_page_size=True)
    run = ["pdftotext", "-bbox", str(tmp_path / "report.pdf"), "-"]
    boxes = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    width = float(re.search(r'page width="([\d.]+)"', boxes)[1])
    assert width == pytest.approx(595, abs=1)
    words = re.findall(r'xMin="([\d.-]+)".*? xMax="([\d.-]+)".*?>(.*?)</word>', boxes)
    assert {"caught", "epoch", "winner", WINNER[:7]} <= {word for *_, word in words}
    assert min(float(left) for left, *_ in words) >= 41
    assert max(float(right) for _, right, _ in words) <= width - 41


def test_charts_follow_the_window_and_come_back_from_paper(opened):
    page = opened()
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


def test_whoever_reads_in_the_dark_prints_on_white(opened):
    page = opened(scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    text = "getComputedStyle(document.body).color"
    assert page.evaluate(text) == "rgb(29, 28, 26)"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate(text) == "rgb(29, 28, 26)"


def test_without_scrolling_all_charts_are_drawn(opened):
    page = opened(drawn=False)
    page.wait_for_function(DRAWN, timeout=30_000)
    assert page.evaluate("scrollY") == 0
    for name in CHARTS:
        box = page.locator(f"#{name} .main-svg").first.bounding_box()
        assert box["width"] > 150, name
    below = [page.locator(f"#{name}").bounding_box()["y"] for name in CHARTS]
    assert min(below) > 900
    page.screenshot(full_page=True)
    assert page.evaluate("scrollY") == 0


def test_a_page_that_is_never_painted_is_drawn_all_the_same(browser, folder):
    context = browser.new_context()
    page = context.new_page()
    never = (
        "() => { window.requestAnimationFrame = () => 0; window.requestIdleCallback = undefined }"
    )
    page.add_init_script(f"({never})(); delete window.requestIdleCallback;")
    page.goto((folder / "report.html").as_uri())
    page.wait_for_function(DRAWN, polling=100)
    assert page.locator("#roc svg").count() > 0
    assert page.locator("#histogram svg").count() > 0
    context.close()
