"""A fleet that judges nothing: a test says what its engines are to have found. For what the service does with it."""

import threading
import time

from engine.errors import CapacityError
from engine.incidents import incident_id
from engine.service.contract import EngineStatus, StreamStatus
from engine.verdicts import Incident, Severity, StreamSecond

JPEG = b"\xff\xd8\xff\xe0made\xff\xd9"


class ScriptedFleet:
    """Takes plans; reports what a test tells it to report.

    Args:
        room: most streams.
    """

    def __init__(self, room=1000):
        self.room = room
        self.plans = {}
        self.log = []
        self.sessions = {}
        self.state = {}
        self.not_ready = None
        self.load = 0.5
        self.stopped = False
        self.unheeded_now = frozenset()
        self._lock = threading.Lock()

    def start(self, listener):
        self.listener = listener

    def apply(self, plan):
        with self._lock:
            if plan.id not in self.plans and len(self.plans) >= self.room:
                raise CapacityError("capacity exceeded", stream=plan.id, why="no engine has room",
                                    remedy="add an engine", headroom_streams=0)  # fmt: skip
            self.log.append(("apply", plan.id))
            self.plans[plan.id] = plan
            self.sessions.setdefault(plan.id, f"s-{plan.id}")
        self.listener.on_status(self.status(plan.id))

    def remove(self, stream_id):
        with self._lock:
            self.log.append(("remove", stream_id))
            self.plans.pop(stream_id, None)

    def unheeded(self, streams):
        self.unheeded_now = frozenset(streams)

    def keep_only(self, streams):
        self.log.append(("keep_only", sorted(streams)))

    def status(self, stream_id):
        if stream_id not in self.plans:
            return None
        state, since = self.state.get(stream_id, ("running", time.time()))
        return StreamStatus(stream_id, "paused" if self.plans[stream_id].paused else state, since, engine="cpu",
                            session=self.sessions[stream_id], device="cpu", decoder="software",
                            detail="http://user:hunter2@host/x")  # fmt: skip

    def statuses(self):
        return {stream_id: self.status(stream_id) for stream_id in list(self.plans)}

    def engines(self):
        counters = {i: {"frames_decoded": 100, "frames_measured": 99, "decode_errors": 1} for i in self.plans}
        return (
            EngineStatus("cpu", "cpu", 1234, True, 2, len(self.plans), self.load, self.room - len(self.plans), 1 << 30,
                         {"device_to_host_bytes": 4096}, counters, {0.1: 5, 1.0: 9, float("inf"): 10}, 3.5, 4.0, 7,
                         stage_buckets={"decode": {0.1: 6, float("inf"): 8}}, stage_sums={"decode": 1.5}),
        )  # fmt: skip

    def thumbnail(self, stream_id):
        return JPEG if stream_id in self.plans and not self.plans[stream_id].paused else None

    def ready(self):
        return self.not_ready

    def stop(self, drain_seconds=10.0):
        self.stopped = True

    def report(self, stream, change, detector="video.black", start=1.0, at=None, severity=Severity.CRITICAL, **values):
        """A report of an incident, as an engine makes it."""
        name = incident_id(stream, detector, start)
        incident = Incident(name, stream, detector, severity, start, 0.5, **values)
        if change == "closed":
            incident.end, incident.closed_by = values.get("end") or start + 5, "recovered"
        session = self.sessions.get(stream, f"s-{stream}")
        self.listener.on_incident(incident, change, session, time.time() if at is None else at)
        return name, session

    def second(self, stream, second):
        """A judged second."""
        told = StreamSecond(stream, second, 25.0, 25, 25, 1.0, 0, (), ())
        self.listener.on_second(told, self.sessions[stream], time.time())
