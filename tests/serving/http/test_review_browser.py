"""The review page as a browser shows it: alerts, reasons, the slider, outcomes, and the key."""

import re

import numpy as np
import pytest

from tests.browsers import NEEDS_BROWSER, browsers, expect
from tests.serving.running import KEY, RunningService, plain

pytestmark = [pytest.mark.slow, *NEEDS_BROWSER]

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def rows(validation):
    """Those of the last two whole days of the period, and a strange one on the last."""
    days = validation["timestamp"].dt.floor("D")
    last = days.unique()[-3:-1]
    rows = plain(validation[days.isin(last)])
    strange = {**rows[-1], "transaction_id": "strange", "customer_id": EVIL, "device": EVIL}
    return [*rows, {**strange, "amount": 98_765.43, "quantity": 500}]


@pytest.fixture(scope="module")
def service(model, history, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reviewed")
    service = RunningService(model, folder, "--history", str(history), FRAUD_AE_API_KEY=KEY)
    service.key = KEY
    service.results = service.post("/score", rows).json()
    yield service
    assert service.stop() == 0
    assert "Traceback" not in service.printed


@pytest.fixture(scope="module")
def browser():
    with browsers() as launch:
        yield launch()


@pytest.fixture
def opened(browser, service):
    """Opens a page, and holds it to staying silent and asking nobody else."""
    contexts, complaints, requests = [], [], []

    def opened(path: str = "/", key: str | None = KEY, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(service.url + path)
        page.locator("#key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-wrong")).to_be_visible()
        page.locator("#key").fill(key)
        page.keyboard.press("Enter")
        expect(page.locator("#key-form")).to_be_hidden()
        return page

    yield opened
    for context in contexts:
        context.close()
    # The first requests had no key.
    assert [text for text in complaints if "401" not in text] == []
    assert all(url.startswith((service.url, "data:")) for url in requests)


def above(service: RunningService, threshold: float, day: str) -> list[str]:
    """Ids of a day's answers above a threshold, the highest score first."""
    alerts = service.get("/alerts", params={"threshold": threshold, "day": day}).json()["alerts"]
    return [alert["transaction_id"] for alert in alerts]


def listed(page) -> list[str]:
    return [item.get_attribute("data-id") for item in page.locator("#alerts > li").all()]


def test_the_alerts_of_the_newest_day_are_shown_with_their_reasons(opened, service, rows):
    page = opened()
    expect(page.locator("#alerts > li").first).to_be_visible()
    day = rows[-1]["timestamp"][:10]
    expect(page.locator("#state")).to_contain_text(f"on {day}")
    expected = {a["transaction_id"] for a in service.results if a["alert"]} & {
        row["transaction_id"] for row in rows if row["timestamp"].startswith(day)
    }
    assert set(listed(page)) == expected
    item = page.locator("[data-id=strange]")
    expect(item.locator(".amount")).to_have_text("98,765.43")
    expect(item.locator(".customer")).to_have_text(f"customer {EVIL}")
    reasons = next(a for a in service.results if a["transaction_id"] == "strange")["reasons"]
    assert item.locator(".reasons li").all_inner_texts() == [reason["text"] for reason in reasons]
    assert page.locator("#alerts img").count() == 0


def test_the_slider_lists_what_its_threshold_would_alert_on(opened, service):
    page = opened()
    curve = service.get("/thresholds").json()
    day = page.locator("#day").input_value()
    scores = np.array([answer["score"] for answer in service.results])
    for index in (len(curve["thresholds"]) - 1, curve["start"] // 2, 0):
        at = curve["thresholds"][index]
        page.locator("#threshold").fill(str(index))
        expect(page.locator("#state")).to_have_attribute(
            "data-threshold", re.compile(re.escape(str(at["threshold"])[:8]))
        )
        assert listed(page) == above(service, at["threshold"], day)
        per_day = (scores > at["threshold"]).sum() / curve["days"]
        assert float(page.locator("#per-day").inner_text().replace(",", "")) == pytest.approx(
            per_day, abs=0.051
        )
        recall = f"{100 * at['recall']:.1f}\xa0%"
        assert page.locator("#recall").inner_text() == recall
    page.locator("#reset").click()
    expect(page.locator("#reset")).to_be_disabled()
    threshold = curve["thresholds"][curve["start"]]["threshold"]
    assert threshold == service.get("/model").json()["threshold"]


def test_an_outcome_is_stored_and_shown_on_another_visit(opened, service):
    page = opened()
    item = page.locator("[data-id=strange]")
    before = service.metric('fraud_ae_history{kind="labels"}')
    for name, text in (("Fraud", "confirmed as fraud"), ("Not fraud", "confirmed as not fraud")):
        item.get_by_role("button", name=name, exact=True).click()
        expect(item.locator(".confirmed")).to_have_text(text)
    page.reload()
    item = page.locator("[data-id=strange]")
    expect(item.locator(".confirmed")).to_have_text("confirmed as not fraud")
    pressed = item.get_by_role("button", name="Not fraud", exact=True)
    assert pressed.get_attribute("aria-pressed") == "true"
    assert service.metric('fraud_ae_history{kind="labels"}') in (before, before + 1)


def test_another_day_shows_its_own(opened, service, rows):
    page = opened()
    days = page.locator("#day option").all()
    assert [one.get_attribute("value") for one in days] == sorted(
        {row["timestamp"][:10] for row in rows}, reverse=True
    )
    older = days[1].get_attribute("value")
    page.locator("#day").select_option(older)
    expect(page.locator("#state")).to_contain_text(f"on {older}")
    assert listed(page) == above(service, service.get("/model").json()["threshold"], older)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(opened, scheme):
    page = opened(viewport={"width": 375, "height": 700}, color_scheme=scheme)
    expect(page.locator("#alerts > li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightest = max(int(part) for part in background[4:-1].split(","))
    assert (brightest < 50) == (scheme == "dark")


def test_the_documentation_is_drawn_with_its_example(opened, rows):
    page = opened("/docs")
    expect(page.locator(".opblock")).to_have_count(9)
    page.locator("#operations-default-score_score_post, .opblock-post").first.click()
    expect(page.locator(".opblock-body").first).to_contain_text("transaction_id")
