"""The report of an experiment with everything, and browsers that show it."""

import pytest

from fraud_ae.report.page import write_report
from tests.browsers import browsers
from tests.report.made import MadeExperiment

# Set once all charts are there, to the theme that they were drawn in.
DRAWN = "document.documentElement.dataset.drawn"


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> MadeExperiment:
    """An experiment with everything, and its report; tests only read it."""
    made = MadeExperiment(tmp_path_factory.mktemp("whole"), calibrated=True).whole()
    write_report(made.folder)
    return made


@pytest.fixture(scope="module")
def launch():
    """Starts a browser with further arguments."""
    with browsers() as launch:
        yield launch


@pytest.fixture(scope="module")
def browser(launch):
    return launch()


@pytest.fixture(scope="module")
def opened(browser):
    """Opens the report of a folder, and holds it to staying silent and asking for nothing."""
    contexts, complaints, requests = [], [], []

    def opened(folder, width: int = 1280, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("request", lambda request: requests.append(request.url))
        page.goto((folder / "report.html").as_uri())
        page.wait_for_function(DRAWN, timeout=60_000)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith("file:") and url.endswith("/report.html") for url in requests)
