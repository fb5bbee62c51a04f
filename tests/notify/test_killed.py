"""A dispatcher that is killed at any moment, and a receiver that fails and loses replies: nothing is lost or doubled.

"Doubled" is what is left after the receiver has done what receivers have to: forget a message whose id it has seen.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import servers
from receivers import Receiver, verify

from engine.incidents import incident_id
from engine.notify.routing import Routing
from engine.settings.notify import NotifySection
from engine.store.sql import Store
from engine.verdicts import Incident, Severity

DISPATCHER = Path(__file__).with_name("dispatcher.py")
ROOT = Path(__file__).parents[2]
SECTION = NotifySection.model_validate(
    {"sinks": {"hook": {"type": "webhook", "url": "http://127.0.0.1/"}}, "routes": [{"sinks": ["hook"]}]}
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/a.db"
        return
    with servers.postgres() as server:
        yield server.database()


def start(url, receiver, secret, together):
    process = subprocess.Popen(
        [sys.executable, str(DISPATCHER), url, receiver.url, secret, str(together)], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    process.kill()
    process.stdout.close()
    process.wait(10)


def write(store, streams, pause_seconds):
    """An incident opens and ends on each stream."""
    for number in range(streams):
        name = "video.black"
        incident = Incident(incident_id(f"s{number}", name, 1.0), f"s{number}", name, Severity.CRITICAL, 1.0, 1.0)
        store.incidents.record(incident, "opened")
        incident.end, incident.closed_by = 9.0, "recovered"
        time.sleep(pause_seconds)
        store.incidents.record(incident, "closed")


@pytest.mark.parametrize(
    ("streams", "kills", "dispatchers", "together"),
    [
        (20, 3, 1, 1),
        pytest.param(250, 20, 1, 1, marks=pytest.mark.slow),
        pytest.param(250, 20, 2, 3, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_over_kills(url, secret, streams, kills, dispatchers, together):
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    store = Store(url, route=Routing(SECTION, 0.0), damping_seconds=0.0)
    chance = random.Random(seed)

    def answer(number):
        luck = chance.random()
        return 503 if luck < 0.1 else "drop" if luck < 0.2 else 204

    with Receiver(answer) as receiver:
        writer = threading.Thread(target=write, args=(store, streams, kills / streams))
        writer.start()
        running = [start(url, receiver, secret, together) for _ in range(dispatchers)]
        try:
            for _ in range(kills):
                time.sleep(rng.uniform(0.0, 0.6))
                victim = rng.randrange(dispatchers)
                end(running[victim])
                running[victim] = start(url, receiver, secret, together)
            writer.join(120)
            # A message that fails five times in a row, which one in some hundred does, waits for minutes.
            servers.eventually(lambda: ("hook", "pending") not in store.outbox.counts(), 400)
        finally:
            for process in running:
                end(process)
    counts = store.outbox.counts()
    store.close()
    assert counts == {("hook", "delivered"): 2 * streams}, f"seed {seed}"
    bodies = {}
    for headers, body in receiver.taken:
        assert verify(secret, headers, body), f"seed {seed}"
        assert bodies.setdefault(headers["webhook-id"], body) == body, f"seed {seed}: two contents under one id"
    told = [
        (item["stream"], item["change"])
        for message in map(json.loads, bodies.values())
        for item in message.get("items", [message])
    ]
    expected = [(f"s{number}", change) for number in range(streams) for change in ("opened", "closed")]
    assert sorted(told) == sorted(expected), f"seed {seed}"
    for number in range(streams):
        assert told.index((f"s{number}", "opened")) < told.index((f"s{number}", "closed")), f"seed {seed}"
