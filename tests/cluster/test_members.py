"""Engines that share a database: each stream is one engine's at a time, whatever becomes of the others.

The fleets are scripted, and everything else is real: what engines find is known to the second, so that what was lost or
doubled can be counted. test_on_ray.py has the same with real engines.
"""

import contextlib
import itertools
import threading
import time

import pytest
from recent_seconds import RecentSeconds
from running_service import Running
from scripted_fleet import ScriptedFleet
from servers import eventually

from engine.cluster import member as member_module
from engine.cluster.command import KeptElsewhere
from engine.cluster.coordinator import Coordinator
from engine.cluster.feed import BEGINNING
from engine.cluster.fleet import ClusterFleet
from engine.cluster.member import Member, MemberParts
from engine.cluster.placement import Limits
from engine.config import Config
from engine.errors import StoreError
from engine.service.evidence_files import EvidenceFiles
from engine.store import owners as owners_module
from engine.store.database import Database, sqlite_url
from engine.store.owners import Owners
from engine.store.sql import Store


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Everything as it is, four times as fast."""
    for module in (owners_module, member_module):
        monkeypatch.setattr(module, "NOTICE_SECONDS", 0.5)
        monkeypatch.setattr(module, "LATE_SECONDS", 1.0)
    monkeypatch.setattr(owners_module, "LEASE_SECONDS", 1.5)
    monkeypatch.setattr(member_module, "RENEW_SECONDS", 0.4)
    monkeypatch.setattr(member_module, "POLL_SECONDS", 0.1)


class CutOff:
    """A way to the database that can be cut."""

    def __init__(self, owners):
        self._owners = owners
        self.cut = False

    def __getattr__(self, name):
        call = getattr(self._owners, name)

        def reach(*arguments, **named):
            if self.cut and name != "counts":
                raise StoreError("the database failed", why="it cannot be reached", remedy="wait")
            return call(*arguments, **named)

        return reach


class Team:
    """Some engines, a coordinator, and the service in front."""

    def __init__(self, folder, names, streams):
        self.folder = folder
        self.url = sqlite_url(folder / "shared.db")
        self.owners = Owners(Database(self.url))
        self.members = {}
        for name in names:
            self.join(name)
        # All at once: the first one to be ready would be given everything.
        eventually(lambda: sum(bool(one.state.get("ready")) for one in self.owners.engines()) == len(names), 20)
        self._stop = threading.Event()
        self.coordinator = Coordinator(self.owners, Limits(moves=50))
        self._thread = threading.Thread(target=self._coordinate)
        self._thread.start()
        rows = "\n".join(f"  - {{id: {one}, url: 'http://192.0.2.1/{one}.ts'}}" for one in streams)
        config = (
            f"storage: {{database: '{self.url}'}}\nstreams:\n{rows}\n"
            if streams
            else f"storage: {{database: '{self.url}'}}\n"
        )
        self.front = Running(folder, config, fleet=ClusterFleet(Owners(Database(self.url)), self))

    def join(self, name):
        fleet = ScriptedFleet(room=50)
        fleet.load = 0.05
        parts = MemberParts(Store(self.url), fleet, RecentSeconds(), EvidenceFiles(self.folder / name))
        one = Member(name, f"node-{name}", {}, Config(), parts)
        one._owners = CutOff(one._owners)
        one.fleet = fleet
        one.seconds = parts.verdicts
        one.start()
        self.members[name] = one
        return one

    def reports(self, since):
        return {
            name: one.report(since.get(name, BEGINNING)) for name, one in self.members.items() if not one._owners.cut
        }

    def thumbnail(self, engine, stream, part, timeout_seconds):
        return self.members[engine].thumbnail(stream, part)

    def _coordinate(self):
        while not self._stop.wait(0.1):
            with contextlib.suppress(StoreError):
                self.coordinator.round()

    def owner(self, stream, part=0):
        return next((u.owner for u in self.owners.units() if u.key == (stream, part)), None)

    def settled(self, streams):
        """Wait until every stream is judged by the engine that owns it."""

        def holds():
            units = self.owners.units()
            return len(units) == len(streams) and all(
                u.owner is not None and u.stream in self.members[u.owner].fleet.plans for u in units
            )

        eventually(holds, 20)

    def stop(self):
        self._stop.set()
        self._thread.join()
        for one in self.members.values():
            one._owners.cut = False
            one.stop(2.0)


@pytest.fixture
def team(tmp_path):
    """Makes a team; ends it with the test."""
    with contextlib.ExitStack() as stack:

        def make(names, streams):
            made = Team(tmp_path, names, streams)
            stack.callback(made.stop)
            made.front.start()
            stack.callback(made.front.stop)
            made.api = stack.enter_context(made.front.client())
            return made

        yield make


def incidents(team, **wanted):
    """The incidents as the API in front shows them."""
    return team.api.get("/api/v1/incidents", params=wanted).json()["items"]


def test_streams_are_shared_out_and_what_is_found_shows_in_front(team):
    names = [f"s{i}" for i in range(8)]
    made = team(["a", "b"], names)
    made.settled(names)
    assert {made.owner(name) for name in names} == {"a", "b"}
    owner = made.members[made.owner("s0")]
    owner.fleet.report("s0", "opened")
    [seen] = eventually(lambda: incidents(made), 10)
    assert (seen["stream"], seen["detector"], seen["state"]) == ("s0", "video.black", "open")
    owner.fleet.report("s0", "closed")
    eventually(lambda: incidents(made)[0]["state"] == "closed", 10)

    def shown():
        status = made.api.get("/api/v1/streams/s0").json()["status"]
        return status["state"], status["engine"]

    eventually(lambda: shown() == ("running", owner.name), 10)
    assert made.api.get("/api/v1/streams/s0/thumbnail").status_code == 200


def test_a_lost_engine_s_streams_are_judged_by_others_and_its_incidents_go_on(team):
    names = [f"s{i}" for i in range(6)]
    made = team(["a", "b"], names)
    made.settled(names)
    stream = next(name for name in names if made.owner(name) == "a")
    made.members["a"].fleet.report(stream, "opened")
    [before] = eventually(lambda: incidents(made), 10)
    made.members["a"]._owners.cut = True  # it goes on judging, and cannot be reached
    eventually(lambda: all(made.owner(name) == "b" for name in names), 20)
    eventually(lambda: stream in made.members["b"].fleet.plans, 10)
    # What the old one finds from now on is not its own any more; what the new one finds continues the incident.
    made.members["a"].fleet.report(stream, "closed")
    made.members["a"].fleet.report(stream, "opened", detector="audio.silence")
    made.members["b"].fleet.sessions[stream] = "another"
    made.members["b"].fleet.report(stream, "opened")
    time.sleep(1.0)
    made.members["a"]._owners.cut = False
    eventually(lambda: not made.members["a"].fleet.plans, 10)
    time.sleep(0.5)
    [after] = incidents(made)
    assert (after["id"], after["state"], after["detector"]) == (before["id"], "open", "video.black")
    assert made.members["a"].gate.dropped["not owned"] >= 2


def test_seconds_of_a_stream_that_changes_its_engine_are_kept_once(team):
    made = team(["a"], ["s0"])
    made.settled(["s0"])
    stop = threading.Event()

    def judge(one):
        number = 0
        while not stop.wait(0.05):
            with contextlib.suppress(KeyError):
                if "s0" in one.fleet.plans:
                    number += 1
                    one.fleet.second("s0", number)

    threads = [threading.Thread(target=judge, args=(made.members["a"],))]
    threads[0].start()
    time.sleep(0.5)
    b = made.join("b")
    b.fleet.sessions["s0"] = "of b"
    threads.append(threading.Thread(target=judge, args=(b,)))
    threads[1].start()
    eventually(lambda: "ready" in (made.owners.engine("b") or made.owners.engine("a")).state, 10)
    made.owners.empty("a", True)
    eventually(lambda: made.owner("s0") == "b", 20)
    eventually(lambda: "s0" not in made.members["a"].fleet.plans, 20)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    kept = sorted(row.played_at for one in made.members.values() for row in one.seconds.rows)
    unit = made.owners.units()[0]
    assert all(row.played_at < unit.owned_from for row in made.members["a"].seconds.rows)
    assert all(row.played_at >= unit.owned_from for row in b.seconds.rows)
    # None is missing where one gives over to the other.
    assert max(late - early for early, late in itertools.pairwise(kept)) < 0.6


def test_while_the_database_is_away_nothing_is_lost(team):
    made = team(["a"], ["s0"])
    made.settled(["s0"])
    one = made.members["a"]
    one._owners.cut = True
    time.sleep(0.8)
    one.fleet.report("s0", "opened")
    one.fleet.report("s0", "closed")
    time.sleep(0.3)
    assert not incidents(made)
    one._owners.cut = False
    [seen] = eventually(lambda: incidents(made, state="closed"), 10)
    assert seen["detector"] == "video.black"


def test_a_stream_that_is_taken_out_is_judged_no_more_and_its_incident_ends(team):
    made = team(["a"], [])
    body = {"id": "new", "url": "http://93.184.215.14/x.ts"}
    assert made.api.post("/api/v1/streams", json=body).status_code == 201
    made.settled(["new"])
    made.members["a"].fleet.report("new", "opened")
    eventually(lambda: incidents(made), 10)
    assert made.api.delete("/api/v1/streams/new").status_code == 204
    eventually(lambda: not made.members["a"].fleet.plans, 10)
    [seen] = eventually(lambda: [one for one in incidents(made) if one["state"] == "closed"], 15)
    assert seen["closed_by"] == "removed"


def test_subsets_of_a_stream_are_judged_by_two_engines_and_seen_as_one(team):
    made = team(["a", "b"], [])
    body = {"id": "both", "url": "http://93.184.215.14/x.ts", "subsets": [["video.*", "stream.*"], ["audio.*"]]}
    assert made.api.post("/api/v1/streams", json=body).status_code == 201
    eventually(lambda: {made.owner("both", 0), made.owner("both", 1)} == {"a", "b"}, 20)
    first, second = made.members[made.owner("both", 0)], made.members[made.owner("both", 1)]
    eventually(lambda: "both" in first.fleet.plans and "both~1" in second.fleet.plans, 20)
    assert all(name.startswith("audio.") for name in second.fleet.plans["both~1"].detectors)
    assert not any(name.startswith("audio.") for name in first.fleet.plans["both"].detectors)
    second.fleet.sessions["both~1"] = "sound"
    first.fleet.report("both", "opened")
    second.fleet.report("both~1", "opened", detector="audio.silence")
    seen = eventually(lambda: incidents(made) if len(incidents(made)) == 2 else None, 10)
    assert {(one["stream"], one["detector"]) for one in seen} == {("both", "video.black"), ("both", "audio.silence")}
    time.sleep(2.5)  # a round of housekeeping: neither is another run's
    assert all(one["state"] == "open" for one in incidents(made))
    named = f"{first.name}, {second.name}"
    eventually(lambda: made.api.get("/api/v1/streams/both").json()["status"]["engine"] == named, 10)


def test_an_engine_that_ends_gives_its_streams_back_at_once(team):
    made = team(["a", "b"], ["s0", "s1", "s2"])
    made.settled(["s0", "s1", "s2"])
    gone = made.members.pop(made.owner("s0"))
    began = time.monotonic()
    gone.stop(2.0)
    left = next(iter(made.members))
    eventually(lambda: all(made.owner(name) == left for name in ("s0", "s1", "s2")), 20)
    assert time.monotonic() - began < 20


def test_a_service_without_sinks_keeps_no_seconds_itself():
    kept = KeptElsewhere()
    assert kept.put(None, "", 0.0)
    assert kept.problem() is None
    assert kept.stop(1.0)
