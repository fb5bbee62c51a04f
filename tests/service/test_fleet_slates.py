"""Slates reach the fleet's engines; one that cannot be read stops nothing."""

from fractions import Fraction

import av
import numpy as np
from live_kit import wait

from engine.config import Config
from engine.service.contract import StreamPlan
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import FleetSettings, settings_of
from engine.service.places import Group


class Told:
    """Remembers which incidents opened."""

    def __init__(self) -> None:
        self.opened = []

    def on_incident(self, incident, change, session, at) -> None:
        if change == "opened":
            self.opened.append((incident.stream, incident.detector))

    def on_second(self, second, session, at) -> None:
        pass

    def on_status(self, status) -> None:
        pass

    def on_evidence(self, incident_id, session, kind, content) -> None:
        pass


def board(height=180, width=320):
    picture = np.full((height, width, 3), (20, 40, 120), np.uint8)
    picture[height // 4 : height // 2, width // 5 : 4 * width // 5] = 235
    return picture


def test_a_stream_that_shows_a_slate_is_told(tmp_path):
    av.VideoFrame.from_ndarray(board(), format="rgb24").save(str(tmp_path / "board.png"))
    clip = tmp_path / "clip.ts"
    with av.open(str(clip), "w") as container:
        track = container.add_stream("libx264", rate=25)
        track.width, track.height, track.pix_fmt = 320, 180, "yuv420p"
        for index in range(100):
            frame = av.VideoFrame.from_ndarray(board(), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    slates = {"board": {"image": str(tmp_path / "board.png")}, "gone": {"image": str(tmp_path / "gone.png")}}
    told = Told()
    fleet = LocalFleet(FleetSettings(groups=(Group("main", device="cpu", slots=2),), slates=slates))
    fleet.start(told)
    try:
        wait(lambda: fleet.ready() is None, 90)
        fleet.apply(StreamPlan("one", str(clip), {"video.slate": {}}, loop=True, private_addresses=True))
        wait(lambda: ("one", "video.slate") in told.opened, 60)
    finally:
        fleet.stop(10.0)


def test_the_configurations_slates_are_handed_on(tmp_path):
    config = Config.model_validate({"slates": {"a": {"image": "a.png"}, "b": {"hash": "s1:x"}}})
    assert settings_of(config, tmp_path).slates == {"a": {"image": "a.png"}, "b": {"hash": "s1:x"}}
