"""The report as a browser shows it: drawn, moved, switched, and narrow."""

import numpy as np
import pandas as pd
import pytest

from fraud_ae.evaluation.threshold import alerts, utc_days
from fraud_ae.experiments.run_store import SCORES, TEST_SCORES
from fraud_ae.report.content import report_content
from fraud_ae.report.page import write_report
from tests.browsers import NEEDS_BROWSER, browsers
from tests.report.made import PRODUCTION, WINNER, MadeExperiment

pytestmark = NEEDS_BROWSER

CHARTS = ("parallel", "heat", "losses", "roc", "pr", "histogram")
# Set once all charts are there, to the theme that they were drawn in.
DRAWN = "document.documentElement.dataset.drawn"


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
    contexts, complaints, requests = [], [], []

    def opened(width: int = 1280, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: requests.append(request.url))
        page.goto((folder / "report.html").as_uri())
        page.wait_for_function(DRAWN)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(requests) == {(folder / "report.html").as_uri()}


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
