"""What the fleet reckons with between two reports of an engine."""

import pytest

from engine.configured import chosen_detectors, load_config
from engine.errors import ConfigError
from engine.service.contract import StreamPlan
from engine.service.fleet_settings import FleetSettings, settings_of
from engine.service.messages import Judge, Report
from engine.service.places import Group
from engine.service.roster import UNHEEDED, Roster


def test_streams_that_come_and_go_between_two_reports_take_no_room():
    roster = Roster(FleetSettings(groups=(Group("main", slots=64),)))
    engine = roster.engines["main"]
    engine.report = Report(
        load=0.5, headroom_streams=3, resident_bytes=0, counters={}, latency_bounds=[], latency_counts=[],
        latency_sum=0.0, batch_frames=0.0, queue_depth=0, streams=[],
    )  # fmt: skip
    for index in range(20):
        name = f"s{index}"
        with roster.guard:
            roster.take_in(StreamPlan(name, "clip.ts"))
            roster.halt(roster.streams.pop(name))
    assert engine.added == 0
    with roster.guard:
        roster.take_in(StreamPlan("stays", "clip.ts"))
    assert engine.added == 1
    roster.close()


def test_streams_that_are_compared_are_judged_by_one_engine():
    roster = Roster(FleetSettings(groups=(Group("a", slots=8), Group("b", slots=64))))
    with roster.guard:
        roster.take_in(StreamPlan("contribution", "clip.ts", group="a"))
        roster.take_in(StreamPlan("else", "clip.ts"))
        roster.take_in(StreamPlan("distribution", "clip.ts", reference="contribution"))
        # Its reference comes later.
        roster.take_in(StreamPlan("early", "clip.ts", reference="late", group="a"))
        roster.take_in(StreamPlan("late", "clip.ts"))
        # Two are compared with one that is not there yet.
        roster.take_in(StreamPlan("one", "clip.ts", reference="coming", group="a"))
        roster.take_in(StreamPlan("two", "clip.ts", reference="coming"))
        names = {name: place.engine.group.name for name, place in roster.streams.items()}
        assert names == {"contribution": "a", "else": "b", "distribution": "a", "early": "a", "late": "a",
                         "one": "a", "two": "a"}  # fmt: skip
        with pytest.raises(ConfigError, match="parted"):
            roster.take_in(StreamPlan("parted", "clip.ts", reference="contribution", group="b"))
        # Compared from now on, it goes where its reference is.
        roster.change(roster.streams["else"], StreamPlan("else", "clip.ts", reference="contribution"))
        assert roster.streams["else"].engine.group.name == "a"
        assert roster.streams["else"].order().reference == "contribution"
    roster.close()


def test_a_group_with_detectors_of_its_own_judges_these_of_the_streams_that_name_it(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("""
processes: {groups: [{name: pictures, detectors: [video.*]}, {name: sound, detectors: ["audio.*", av.sync]}]}
streams:
  - {id: a, url: a.ts, group: pictures, detectors: {video.black: {black_min_duration: 500ms}, video.freeze: false}}
  - {id: b, url: a.ts, group: sound, profile: broadcast}
  - {id: c, url: a.ts}
""")
    config, known = load_config(path)
    a, b, c = (chosen_detectors(config, known, stream) for stream in config.streams)
    assert {name.split(".")[0] for name in a} == {"video"}
    assert "black_min_duration" in a["video.black"]
    assert "video.freeze" not in a
    assert {name.split(".")[0] for name in b} == {"audio", "av"}
    assert {name.split(".")[0] for name in c} == {"video", "audio", "av", "stream"}
    roster = Roster(settings_of(config, tmp_path))
    with roster.guard:
        roster.take_in(StreamPlan("a", "a.ts", a, group="pictures"))
        assert roster.streams["a"].engine.group.name == "pictures"
        with pytest.raises(ConfigError, match="pictures, sound"):
            roster.take_in(StreamPlan("c", "a.ts", c))
    roster.close()
    path.write_text(path.read_text().replace("[video.*]", "[vidoe.black]"))
    with pytest.raises(ConfigError, match=r"groups\[0\].detectors\[0\]: unknown detector .*video.black.*line 2"):
        load_config(path)


def test_streams_of_which_nobody_is_told_go_before_all_others_in_the_order_of_their_priorities():
    roster = Roster(FleetSettings(groups=(Group("main", slots=64),)))
    engine = roster.engines["main"]
    engine.ready = True
    told = []
    roster.say = lambda to, message, fds=(): told.append(message)
    with roster.guard:
        for name, priority in (("high", 100), ("low", 0), ("other", 0)):
            roster.take_in(StreamPlan(name, "clip.ts", priority=priority))
        told.clear()
        roster.set_unheeded(frozenset(("high", "low", "not there")))
        assert all(isinstance(message, Judge) for message in told)
        assert {m.id: m.priority for m in told} == {"high": 100 + UNHEEDED, "low": UNHEEDED}
        assert UNHEEDED < 100 + UNHEEDED < 0
        told.clear()
        roster.set_unheeded(frozenset(("low",)))  # the window of one is over
        assert [(m.id, m.priority) for m in told] == [("high", 100)]
        told.clear()
        # An engine that starts anew, and a stream that is changed, are told the same.
        roster.change(roster.streams["low"], StreamPlan("low", "clip.ts", priority=7))
        assert [(m.id, m.priority) for m in told] == [("low", 7 + UNHEEDED)]
    roster.close()


def test_an_engine_hears_nothing_of_labels_and_windows():
    roster = Roster(FleetSettings(groups=(Group("main", slots=64),)))
    engine = roster.engines["main"]
    engine.ready = True
    told = []
    roster.say = lambda _engine, message, fds=(): told.append(message)
    with roster.guard:
        roster.take_in(StreamPlan("a", "clip.ts"))
        place, session = roster.streams["a"], roster.streams["a"].session
        told.clear()
        roster.change(place, StreamPlan("a", "clip.ts", labels={"owner": "x"}, windows=({"days": ["sun"]},)))
        assert told == []
        roster.change(place, StreamPlan("a", "clip.ts", {"video.black": {}}, labels={"owner": "x"}))
        assert [type(message) for message in told] == [Judge]
    assert place.session == session
    roster.close()
