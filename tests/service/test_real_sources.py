"""Live channels of real programs, read by ingest processes: judged while they are on the air, and one stall when not.

All of them go off the air together and come back together, once for the whole file, as each outage takes its time.
"""

import time
from dataclasses import dataclass, field

import pytest
from live_kit import encode, wait
from senders import KINDS, studio

from engine.service.contract import StreamPlan
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import FleetSettings
from engine.service.places import Group

# What an outage, or joining a channel in the middle, could be mistaken for.
MISTAKEN = ("stream.missing_video", "stream.missing_audio", "stream.timestamps", "stream.gop", "stream.bitrate",
            "video.black", "video.freeze", "audio.silence", "audio.dropout")  # fmt: skip
DETECTORS = ("stream.stall", *MISTAKEN)
AWAY_SECONDS = 14.0
SEGMENTED = frozenset(("hls_ts", "hls_fmp4", "dash"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass
class Record:
    """What became of one channel. Times are of the monotonic clock.

    Args:
        told: (when, change, detector, cause) of each report.
        judged_before, judged_after: pictures, or tenths of seconds of sound, before the outage and after it.
        states: that its status went through.
    """

    told: list[tuple[float, str, str, str | None]] = field(default_factory=list)
    judged_before: float = 0.0
    judged_after: float = 0.0
    states: list[tuple[str, str | None]] = field(default_factory=list)

    def of(self, change: str, detector: str = "stream.stall") -> list[float]:
        """When a detector's incidents changed so."""
        return [at for at, what, name, _ in self.told if (what, name) == (change, detector)]


class Told:
    """Takes the fleet's reports down."""

    def __init__(self) -> None:
        self.records = {kind: Record() for kind in KINDS}

    def on_incident(self, incident, change, session, at) -> None:
        told = (time.monotonic(), change, incident.detector, incident.cause)
        self.records[incident.stream].told.append(told)

    def on_status(self, status) -> None:
        self.records[status.id].states.append((status.state, status.cause))

    def on_second(self, second, session, at) -> None:
        """A second was judged."""

    def on_evidence(self, incident_id, session, kind, content) -> None:
        """Evidence of an incident."""


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """The records of all channels, when they went off the air, and when they came back."""
    clip = encode(tmp_path_factory.mktemp("real") / "clip.mp4", 60)
    told = Told()
    fleet = LocalFleet(FleetSettings(groups=(Group("main", device="cpu", slots=32),), streams_per_ingest=5))
    fleet.start(told)

    def judged(kind):
        counters = fleet.engines()[0].stream_counters.get(kind, {})
        return counters.get("frames_measured", 0) or counters.get("audio_samples", 0) / 4800

    with studio(clip) as made:
        senders = {kind: make(made) for kind, (make, _) in KINDS.items()}
        try:
            wait(lambda: fleet.ready() is None, 240)
            for sender in senders.values():
                sender.start()
            for kind, sender in senders.items():
                fleet.apply(StreamPlan(kind, sender.url, {d: {} for d in DETECTORS}, private_addresses=True))
            wait(lambda: all(judged(k) > 75 for k in KINDS), 45, lambda: {k: judged(k) for k in KINDS})
            wait(lambda: all(len(r.of("opened")) == len(r.of("closed")) for r in told.records.values()), 20)
            for sender in senders.values():
                sender.stop()
            left = time.monotonic()
            time.sleep(AWAY_SECONDS)
            for kind, record in told.records.items():
                record.judged_before = judged(kind)
            back = time.monotonic()
            for sender in senders.values():
                sender.start()
            # Whoever was just refused may wait for up to sixteen seconds, and then has to join the channel.
            deadline = back + 45
            while time.monotonic() < deadline:
                for kind, record in told.records.items():
                    record.judged_after = judged(kind)
                if all(
                    r.judged_after > r.judged_before + 50 and max(r.of("closed"), default=0.0) > back
                    for r in told.records.values()
                ):
                    break
                time.sleep(0.2)
        finally:
            for sender in senders.values():
                sender.stop()
            fleet.stop()
    return told.records, left, back


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_is_judged_and_its_outage_is_one_stall_with_its_cause(night, kind):
    records, left, back = night
    record = records[kind]
    causes = {cause for _, _, detector, cause in record.told if detector == "stream.stall"}
    # On a busy machine a source may take more than five seconds to be opened, which is a stall of its own.
    assert len([at for at in record.of("opened") if at > left]) == 1, record.told
    opened = record.of("opened")[-1]
    # Five seconds after the last picture. Of segments that one is older when the sender dies: by up to the second that
    # the next segment would have taken, and the second until the list is read again. What a list still holds is shown.
    silent_before = 2.0 if kind in SEGMENTED else 1.0
    assert left + 5 - silent_before - 0.5 < opened < left + 11
    assert causes & set(KINDS[kind][1]), causes
    assert ("stalled", next(cause for state, cause in record.states if state == "stalled")) in record.states
    assert [at > back for at in record.of("closed") if at > left] == [True]
    assert record.judged_after > record.judged_before + 50
    # A radio has no pictures on purpose, and is told so; all else would be taken from the outage, or from joining.
    mistaken = {detector for _, _, detector, cause in record.told if detector in MISTAKEN and cause != "absent_track"}
    assert not mistaken, record.told
