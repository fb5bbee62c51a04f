"""Incidents that flap, sinks that fail and dispatchers that die, in any order: what each sink has heard makes sense.

Random histories on a clock of their own. Of each incident a sink hears openings and ends in turn, an opening first;
and at last it knows how the incident is.
"""

import random
import tempfile
from pathlib import Path

import pytest

from engine.incidents import incident_id
from engine.notify.message import Message
from engine.notify.routing import Routing
from engine.settings.notify import NotifySection
from engine.store.sql import Store
from engine.verdicts import Incident, Severity

SINKS = ("now", "patient", "plain")
SECTION = NotifySection.model_validate(
    {
        "sinks": {name: {"type": "webhook", "url": "http://127.0.0.1/"} for name in SINKS},
        "routes": [
            {"sinks": ["now"], "closed_hold_seconds": 0, "stop": False, "changes": ["opened", "updated", "closed"]},
            {"sinks": ["patient"], "hold_seconds": 20, "stop": False, "group_by": ["stream"]},
            {"sinks": ["plain"]},
        ],
    }
)
LEASE_SECONDS = 15.0
STEPS = 150


class History:
    """A store, what is open on its streams, and what its sinks have heard."""

    def __init__(self, folder, seed):
        self.rng = random.Random(seed)
        self.now = 1_000_000.0
        self.store = Store(f"sqlite:///{folder}/a.db", route=Routing(SECTION), clock=lambda: self.now)
        self.open = {}
        self.heard = {name: {} for name in SINKS}  # sink -> incident -> changes, but for updates
        self.contents = {}

    def open_or_close(self):
        stream = self.rng.choice("abc")
        if stream in self.open:
            incident = self.open.pop(stream)
            if self.rng.random() < 0.3:
                self.open[stream] = incident
                incident.score += 1.0
                self.store.incidents.record(incident, "updated")
                return
            incident.end, incident.closed_by = self.now - 1_000_000.0, "recovered"
            self.store.incidents.record(incident, "closed")
        else:
            start = self.now - 1_000_000.0
            name = "video.black"
            self.open[stream] = Incident(incident_id(stream, name, start), stream, name, Severity.CRITICAL, start, 1.0)
            self.store.incidents.record(self.open[stream], "opened")

    def dispatch(self, always=False):
        sink = self.rng.choice(SINKS)
        singly = self.rng.random() < 0.5
        batch = self.store.outbox.claim(
            sink, lease_seconds=LEASE_SECONDS, most=self.rng.choice((1, 3, 20)), singly=singly
        )
        if batch is None:
            return False
        parts = [batch.part((one,)) for one in batch.notices] if batch.singly else [batch]
        for index, part in enumerate(parts):
            fate = "arrives" if always else self.rng.choice(("arrives", "arrives", "fails", "reply lost", "dies"))
            if fate in ("arrives", "reply lost", "dies"):
                self.hear(sink, part)
            if fate == "dies":
                return True
            if fate == "arrives":
                self.store.outbox.delivered(part)
                continue
            self.store.outbox.failed(part, "503", retry_seconds=self.rng.uniform(0.1, 60.0))
            if parts[index + 1 :]:
                self.store.outbox.release(batch.part(tuple(p.notices[0] for p in parts[index + 1 :])))
            return True
        return True

    def hear(self, sink, part):
        message = Message.of(part, None)
        body = message.json()
        if message.id in self.contents:
            assert self.contents[message.id] == body, "two contents under one id"
            return
        self.contents[message.id] = body
        for change in message.changes():
            if change["change"] != "updated":
                self.heard[sink].setdefault(change["id"], []).append(change["change"])

    def run(self):
        for _ in range(STEPS):
            what = self.rng.random()
            if what < 0.35:
                self.open_or_close()
            elif what < 0.8:
                self.dispatch()
            else:
                self.now += self.rng.choice((0.5, 3.0, 9.0, 25.0))
        for _ in range(1000):
            if not any(state == "pending" for _, state in self.store.outbox.counts()):
                return
            if not self.dispatch(always=True):
                self.now += 5.0
        raise AssertionError("what is pending is never due")

    def check(self):
        for incident in self.store.incidents.list(limit=1000).items:
            for sink in SINKS:
                changes = self.heard[sink].get(incident.id, [])
                assert changes == ["opened", "closed"] * (len(changes) // 2) + ["opened"] * (len(changes) % 2), sink
                if changes or sink == "now":
                    assert changes[-1] == ("opened" if incident.state == "open" else "closed"), sink
                elif incident.state == "open":
                    assert self.now - incident.opened_at < 20.0, "nobody was told of what is open"


@pytest.mark.parametrize("seeds", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_what_each_sink_hears_of_an_incident_makes_sense(seeds):
    first = random.randrange(1 << 30)
    # In memory where there is such a place: it is the order of things that is tested, not the disk.
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    for seed in range(first, first + seeds):
        with tempfile.TemporaryDirectory(dir=place) as folder:
            history = History(folder, seed)
            try:
                history.run()
                history.check()
            except BaseException as error:
                error.add_note(f"seed {seed}")
                raise
            finally:
                history.store.close()
