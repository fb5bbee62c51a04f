"""A channel that is judged in all its renditions: streams that come and go with what its source offers."""

import dataclasses

import pytest
from live_kit import encode, wait
from running_service import running, wait_until
from scripted_fleet import ScriptedFleet
from senders import studio

from engine.ingest.renditions import Rendition, choose, rules
from engine.service.contract import StreamPlan
from engine.service.fleet import LocalFleet
from engine.service.fleet_settings import FleetSettings
from engine.service.places import Group

NEWS = """
streams:
  - {id: news, url: "http://127.0.0.1:9/live.m3u8", rendition: all, labels: {team: a}}
"""


class Offering(ScriptedFleet):
    """Says of each stream that its source offers these renditions."""

    def __init__(self):
        super().__init__()
        self.offered = ("1080", "720", "360")

    def status(self, stream_id):
        status = super().status(stream_id)
        return None if status is None else dataclasses.replace(status, renditions=self.offered)


def ids(service):
    with service.client() as client:
        return {item["id"] for item in client.get("/api/v1/streams").json()["items"]}


def test_each_rendition_is_a_stream_of_the_channel_and_goes_with_it(tmp_path):
    fleet = Offering()
    with running(tmp_path, NEWS, fleet=fleet) as service:
        wait_until(lambda: ids(service) == {"news", "news@720p", "news@360p"})
        assert fleet.plans["news"].rendition == "all"
        assert fleet.plans["news@720p"].rendition == "720"
        assert fleet.plans["news@720p"].url == fleet.plans["news"].url
        with service.client() as client:
            shown = client.get("/api/v1/streams/news@720p").json()
            assert (shown["channel"], shown["part_of"], shown["labels"]) == ("news", "news", {"team": "a"})
            assert client.get("/api/v1/streams/news").json()["channel"] == "news"
            assert client.patch("/api/v1/streams/news@720p", json={"paused": True}).status_code == 409
            assert client.delete("/api/v1/streams/news@720p").status_code == 409
            client.patch("/api/v1/streams/news", json={"paused": True})
            assert all(fleet.plans[name].paused for name in ("news", "news@720p", "news@360p"))
            client.patch("/api/v1/streams/news", json={"paused": False})
        # One black channel is one incident, however many of its renditions show it.
        for name in ("news", "news@720p", "news@360p"):
            fleet.report(name, "opened")
        with service.client() as client:

            def incidents():
                return client.get("/api/v1/incidents").json()["items"]

            wait_until(lambda: incidents() and len(incidents()[0]["streams"]) == 3)
            assert len(incidents()) == 1
        fleet.offered = ("1080", "480")
        wait_until(lambda: ids(service) == {"news", "news@480p"})
        assert set(fleet.plans) == {"news", "news@480p"}
    # They are there at once after the next start, before any source was opened.
    later = ScriptedFleet()
    with running(tmp_path, NEWS, fleet=later, data=service.data) as service:
        assert set(later.plans) == {"news", "news@480p"}
    with running(tmp_path, NEWS.replace("all", "best"), fleet=ScriptedFleet(), data=service.data) as service:
        assert ids(service) == {"news"}


def test_a_rule_chooses_its_own_rendition_and_no_other():
    offered = [Rendition("", 640, 360, 800_000), Rendition("", 1280, 720, 2_500_000),
               Rendition("", 1280, 720, 4_000_000), Rendition("", 0, 0, 64_000)]  # fmt: skip
    named = rules(offered, choose(offered, "all"))
    assert named == ("720@4000", "720@2500", "360")
    assert [choose(offered, rule) for rule in named] == [2, 1, 0]
    assert choose(offered, "720@9000") == 2
    assert choose(offered, "480@100") == 0
    with pytest.raises(ValueError, match="neither"):
        choose(offered, "720@fast")
    assert len(rules([Rendition("", 0, 100 + n, 1) for n in range(50)], 3)) == 8


class Deaf:
    """Is told, and does not listen."""

    def __getattr__(self, name):
        return lambda *_: None


@pytest.mark.slow
def test_the_process_that_reads_a_master_playlist_says_what_it_offers_and_reads_what_is_chosen(tmp_path):
    clip = encode(tmp_path / "clip.mp4", 30)
    fleet = LocalFleet(FleetSettings(groups=(Group("main", device="cpu", slots=8),)))
    fleet.start(Deaf())
    with studio(clip) as made:
        sender = made.hls_master("news")
        sender.start()
        try:
            wait(lambda: fleet.ready() is None, 240)

            def judge(name, rendition):
                plan = StreamPlan(name, sender.url, {"video.freeze": {}}, rendition=rendition, private_addresses=True)
                fleet.apply(plan)

            judge("news", "all")
            wait(lambda: fleet.status("news").renditions, 40, lambda: fleet.status("news"))
            assert fleet.status("news").renditions == ("192", "96")
            wait(lambda: fleet.engines()[0].headroom_streams, 30)
            judge("news@96p", "96")
            shown = {"news": "320x192", "news@96p": "160x96"}
            wait(
                lambda: all(size in (fleet.status(name).video or "") for name, size in shown.items()),
                40,
                fleet.statuses,
            )
        finally:
            sender.stop()
            fleet.stop()
