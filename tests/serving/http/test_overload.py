"""Twice as many requests as a service can answer, for a minute."""

import threading
import time

import pytest

from benchmarks.http_load import ask, question
from tests.serving.running import KEY, plain

pytestmark = pytest.mark.slow


@pytest.mark.promise("A4")
def test_an_overload_is_refused_in_time_takes_no_memory_and_is_soon_over(shared, validation):
    rows = plain(validation)

    def questions(name: str, count: int) -> list:
        """No two of one customer or terminal, so that none waits for another."""
        return [
            question(
                {
                    **rows[number % len(rows)],
                    "transaction_id": f"{name}{number}",
                    "customer_id": f"{name}{number}",
                    "terminal_id": f"{name}{number}",
                }
            )
            for number in range(count)
        ]

    def load(name: str, count: int, **options):
        return ask("127.0.0.1", shared.port, questions(name, count), key=KEY, **options)

    answers, seconds = load("capacity", 500, connections=16)
    assert {answer.status for answer in answers} == {200}
    per_second = 2 * len(answers) / seconds
    memory, stop = [], threading.Event()

    def watch() -> None:
        while not stop.wait(1):
            memory.append(shared.memory)

    watching = threading.Thread(target=watch)
    watching.start()
    # A connection that waits for five seconds is closed: none is left for so long.
    options = {"connections": min(150, int(2 * per_second)), "per_second": per_second}
    answers, seconds = load("over", int(60 * per_second), **options)
    ended = time.monotonic()
    while (answer := shared.post("/score", rows[0])).status_code != 200:
        assert answer.status_code == 503
        time.sleep(0.1)
    recovered = time.monotonic() - ended
    stop.set()
    watching.join()
    slowest = max(answer.seconds for answer in answers)
    statuses = [answer.status for answer in answers]
    print(
        f"{per_second:.0f} a second for {seconds:.0f} s: {statuses.count(200)} answered, "
        f"{statuses.count(503)} refused, the slowest after {slowest:.1f} s; "
        f"{(max(memory) - memory[0]) / 1e6:.0f} MB more; recovered after {recovered:.1f} s"
    )
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 0.2 * len(statuses)
    # Within the ten seconds after which a client would be told that it took too long.
    count = shared.metric('fraud_ae_request_seconds_count{route="/score"}')
    in_time = shared.metric('fraud_ae_request_seconds_bucket{le="10.0",route="/score"}')
    assert in_time >= 0.99 * count > 0
    # Pages of what was stored stay in SQLite's cache, which has a bound of its own.
    stored = 2_000 * statuses.count(200)
    assert max(memory[len(memory) // 2 :]) - memory[len(memory) // 4] < 60_000_000 + stored
    assert recovered < 4
