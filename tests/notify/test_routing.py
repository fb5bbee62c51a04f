"""Routes: who is told of what, how long it waits, and what it is sent together with."""

import pytest

from engine.notify.routing import Routing
from engine.settings.notify import NotifySection
from engine.store.records import IncidentRecord
from engine.verdicts import Severity

SINKS = {name: {"type": "webhook", "url": "http://127.0.0.1/"} for name in ("ops", "night", "all")}


def incident(**changed):
    fields = {
        "id": "i1", "stream": "news-hd", "streams": ("news-hd", "news-sd"), "subject": "news",
        "detector": "video.freeze", "severity": Severity.WARNING, "state": "open",
        "start": 1.0, "end": None, "score": 0.1, "measures": {},
        "labels": {"region": "eu-west"}, "closed_by": None, "cause": None, "opened_at": 0.0, "closed_at": None,
        "updated_at": 0.0, "reopenings": 0, "revision": 1, "muted": False, "acknowledged_at": None,
        "acknowledged_by": None,
    }  # fmt: skip
    return IncidentRecord(**fields | changed)


def told(routes, change="opened", damping_seconds=10.0, **changed):
    section = NotifySection.model_validate({"sinks": SINKS, "routes": routes})
    return Routing(section, damping_seconds)(incident(**changed), change)


def names(*arguments, **options):
    return [delivery.sink for delivery in told(*arguments, **options)]


def test_nobody_is_told_without_routes():
    assert names([]) == []


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({}, True),
        ({"severity": "warning"}, True),
        ({"severity": "critical"}, False),
        ({"detectors": ["audio.*", "video.*"]}, True),
        ({"detectors": ["audio.*"]}, False),
        ({"streams": ["news-sd"]}, True),
        ({"streams": ["news"]}, True),
        ({"streams": ["sport*"]}, False),
        ({"labels": {"region": "eu-*"}}, True),
        ({"labels": {"region": "eu"}}, False),
        ({"labels": {"region": "eu-west", "tier": "*"}}, False),
        ({"changes": ["closed"]}, False),
    ],
)
def test_every_condition_of_a_route_has_to_hold(conditions, matches):
    assert names([{"sinks": ["ops"], **conditions}]) == (["ops"] if matches else [])


def test_updates_are_told_only_to_who_asks_for_them():
    assert names([{"sinks": ["ops"]}], change="updated") == []
    assert names([{"sinks": ["ops"], "changes": ["updated"]}], change="updated") == ["ops"]


def test_the_first_route_that_matches_is_the_last_unless_it_says_so():
    first = {"sinks": ["ops"], "severity": "warning"}
    rest = [{"sinks": ["night"], "severity": "critical"}, {"sinks": ["all", "ops"]}]
    assert names([first, *rest]) == ["ops"]
    assert names([{**first, "stop": False}, *rest]) == ["ops", "all"]
    assert names([{"sinks": [], "streams": ["news-*"]}, *rest]) == []


def test_an_end_waits_until_nothing_can_come_back_and_an_opening_does_not():
    route = {"sinks": ["ops"]}
    assert [delivery.hold_seconds for delivery in told([route])] == [0.0]
    assert [delivery.hold_seconds for delivery in told([route], "closed")] == [15.0]
    assert [delivery.hold_seconds for delivery in told([route], "closed", damping_seconds=0.0)] == [0.0]
    own = {**route, "hold_seconds": 60, "closed_hold_seconds": 0}
    assert [delivery.hold_seconds for delivery in told([own])] == [60.0]
    assert [delivery.hold_seconds for delivery in told([own], "closed")] == [0.0]


def test_what_a_message_has_in_common_is_what_the_route_groups_by():
    route = {"sinks": ["ops"], "group_by": ["channel", "area", "labels.region", "labels.none"]}
    [one] = told([route])
    [same] = told([route], stream="news-sd", detector="video.black")
    [other] = told([route], detector="audio.hum")
    assert one.grouping == same.grouping != other.grouping
    [long] = told([{"sinks": ["ops"], "group_by": ["stream", "labels.region"]}], labels={"region": "x" * 1000})
    assert len(long.grouping) <= 512
