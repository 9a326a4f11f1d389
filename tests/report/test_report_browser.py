"""The report as a browser shows it: drawn, moved, switched, narrow, and in the dark."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.evaluation.threshold import alerts, utc_days
from fraud_ae.experiments.run_store import SCORES, TEST_SCORES
from fraud_ae.report.content import report_content
from tests.browsers import NEEDS_BROWSER
from tests.report.conftest import DRAWN
from tests.report.made import PRODUCTION, WINNER

pytestmark = [*NEEDS_BROWSER, pytest.mark.slow]

CHARTS = ("parallel", "heat", "losses", "roc", "pr", "reliable", "histogram")


@pytest.fixture(scope="module")
def folder(whole):
    return whole.folder


@pytest.fixture(scope="module")
def page(opened, folder):
    return opened(folder)


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


def test_every_chart_is_drawn_without_scrolling_and_holds_its_data(page, folder):
    assert page.evaluate("scrollY") == 0
    boxes = {name: page.locator(f"#{name} .main-svg").first.bounding_box() for name in CHARTS}
    assert all(min(box["width"], box["height"]) > 150 for box in boxes.values()), boxes
    assert min(box["y"] for box in boxes.values()) > 900
    page.screenshot(full_page=True)
    assert page.evaluate("scrollY") == 0
    assert page.evaluate("document.getElementById('parallel').data[0].dimensions.length") == 4
    assert page.locator("#parallel canvas").count() > 0
    assert page.locator("#heat .heatmaplayer image").count() == 1
    assert page.locator("#roc .scatterlayer path.js-line").count() == 3
    assert page.locator("#losses .scatterlayer path.js-line").count() == 4
    parts = report_content(folder)["reliability"]["parts"].values()
    bins = sum(len(part["bins"]) for part in parts)
    assert page.locator("#reliable .scatterlayer path.point").count() == bins
    assert page.locator("#reliable .scatterlayer path.yerror").count() == bins


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
    figures = shown(page, "validation")
    assert figures["alerts_per_day"] == "0.0"
    assert figures["precision"] == "–"
    assert figures["recall"] == "0.0\xa0%"


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


def test_whoever_prefers_dark_reads_in_the_dark_and_prints_on_white(opened, folder):
    page = opened(folder, scheme="dark")
    assert page.evaluate(DRAWN) == "dark"
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in background[4:-1].split(",")) < 50
    page.emulate_media(media="print", color_scheme="dark")
    text = "getComputedStyle(document.body).color"
    assert page.evaluate(text) == "rgb(29, 28, 26)"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate(text) == "rgb(29, 28, 26)"


def test_charts_fit_a_narrow_screen_follow_the_window_and_come_back_from_paper(opened, folder):
    page = opened(folder, width=375)
    for details in page.locator("details").all():
        details.locator("summary").click()

    def chart_width() -> int:
        return round(page.locator("#losses").bounding_box()["width"])

    def wait_until_drawn(width: int) -> None:
        drawn = "Math.round(document.getElementById('losses')._fullLayout.width)"
        page.wait_for_function(f"{drawn} === {width}")

    for width in (375, 768):
        page.set_viewport_size({"width": width, "height": 900})
        wait_until_drawn(chart_width())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.body.scrollWidth") <= width
        for name in CHARTS[1:]:
            assert page.locator(f"#{name}").bounding_box()["width"] <= width
    narrow = chart_width()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(media="screen")
    assert chart_width() > narrow
    wait_until_drawn(chart_width())


def test_a_page_that_is_never_painted_is_drawn_all_the_same(browser, folder):
    page = browser.new_page()
    never = "window.requestAnimationFrame = () => 0; delete window.requestIdleCallback;"
    page.add_init_script(never)
    page.goto((folder / "report.html").as_uri())
    page.wait_for_function(DRAWN, polling=100)
    assert page.locator("#roc svg").count() > 0
    assert page.locator("#histogram svg").count() > 0


def test_without_webgl_the_reader_is_sent_to_the_table(launch, folder):
    page = launch("--disable-3d-apis").new_page()
    page.goto((folder / "report.html").as_uri())
    page.wait_for_function(DRAWN)
    assert "needs WebGL" in page.locator("#parallel").inner_text()
    assert page.locator("#roc svg").count() > 0


def test_tables_are_there_without_javascript(browser, folder):
    page = browser.new_page(java_script_enabled=False)
    page.goto((folder / "report.html").as_uri())
    assert page.locator("#explorer table.explored").is_visible()
    assert not page.locator("#histogram").is_visible()
    first = report_content(folder)["explorer"]
    threshold = first["thresholds"][first["start"]]
    assert shown(page, "test") == expected(scores(folder)["test"], threshold)
