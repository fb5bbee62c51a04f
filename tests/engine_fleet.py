"""A fleet within the service's own process: each stream has a real engine in a thread. A looped file begins again.

For tests of the service where the processes of the real fleet are not the point.
"""

import threading
import time
import uuid

from engine.pipeline import Engine, EngineSettings, Silent, StreamSpec
from engine.service.contract import EngineStatus, StreamStatus


class _Judged(Silent):
    """A stream, its engine and its thread."""

    def __init__(self, fleet, plan):
        self.fleet, self.plan = fleet, plan
        self.over = threading.Event()
        self.state, self.since = "starting", time.time()
        self.told = set()
        self.thread = threading.Thread(target=self.run, name=f"judge {plan.id}")
        self.thread.start()

    def run(self):
        while not self.over.is_set():
            self.session, self.began = uuid.uuid4().hex[:8], time.time()
            settings = EngineSettings(device="cpu", realtime=True, reconnect=True, thumbnails=True)
            self.engine = Engine(settings, self, slots=1)
            self.engine.add(StreamSpec(self.plan.id, self.plan.url, self.plan.detectors))
            if self.over.is_set():
                self.engine.stop()
            self.change("running")
            self.engine.run()
            if not self.plan.loop:
                break
        self.change("ended")

    def change(self, state):
        self.state, self.since = state, time.time()
        with self.fleet.lock:
            self.fleet.listener.on_status(self.fleet.status(self.plan.id) or self.status())

    def on_incident(self, incident, change):
        if self.fleet.drained:
            return  # what is open stays open
        with self.fleet.lock:
            self.fleet.listener.on_incident(incident, change, self.session, time.time())

    def on_second(self, second):
        with self.fleet.lock:
            self.fleet.listener.on_second(second, self.session, self.began + second.second)

    def on_end(self, outcome):
        for incident_id, picture in outcome.thumbnails.items():
            with self.fleet.lock:
                self.fleet.listener.on_evidence(incident_id, self.session, "thumbnail", picture)

    def status(self):
        return StreamStatus(self.plan.id, self.state, self.since, engine="cpu", session=self.session, device="cpu")

    def stop(self):
        self.over.set()
        if hasattr(self, "engine"):
            self.engine.stop()
        self.thread.join(20)


class EngineFleet:
    """See the module."""

    def __init__(self, *_):
        self.lock = threading.RLock()
        self.judged = {}
        self.drained = False

    def start(self, listener):
        self.listener = listener

    def apply(self, plan):
        self.remove(plan.id)
        if not plan.paused:
            self.judged[plan.id] = _Judged(self, plan)

    def remove(self, stream_id):
        if stream_id in self.judged:
            self.judged.pop(stream_id).stop()

    def status(self, stream_id):
        judged = self.judged.get(stream_id)
        return judged.status() if judged is not None and hasattr(judged, "session") else None

    def statuses(self):
        return {i: status for i in list(self.judged) if (status := self.status(i)) is not None}

    def engines(self):
        return (EngineStatus("cpu", "cpu", 1, True, 0, len(self.judged), 0.1, 10, 0),)

    def thumbnail(self, stream_id):
        return None

    def ready(self):
        return None

    def stop(self, drain_seconds=10.0):
        self.drained = True
        for stream_id in list(self.judged):
            self.remove(stream_id)
