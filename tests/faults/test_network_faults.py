"""Connections that stall, drip, break and are refused under a channel that is judged, and what is lost of datagrams."""

import contextlib
import socket
import subprocess
import time

import pytest
from faults.draws import seed
from faults.proxy import LossyRelay, TcpProxy
from live_kit import encode, live, wait
from media import ffmpeg_exe
from on_air import OnAir
from senders import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
MODES = ("stall", "drip", "reset", "close", "refuse")
STREAMS = 300
OPENS_PER_SECOND = 20
FLIPPED_SHARE = 1e-5  # of the bytes: a bit every second or two
SECONDS = 24


def _port(air):
    return int(air.url("one").split(":")[2].split("/")[0])


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return encode(tmp_path_factory.mktemp("faults") / "clip.ts", 120)


def test_each_broken_connection_is_known_soon_and_judged_again_soon_after_it_is_back(clip, record_property):
    with contextlib.ExitStack() as stack:
        air = stack.enter_context(OnAir({"one": clip}))
        proxies = {mode: stack.enter_context(TcpProxy(_port(air))) for mode in MODES}
        kit = stack.enter_context(live())
        for mode, proxy in proxies.items():
            url = f"http://127.0.0.1:{proxy.port}/one.ts"
            kit.take(mode, url, {"stream.stall": {}, "video.freeze": {}, "video.black": {}, "stream.missing_video": {}})
        kit.wait(lambda: all(kit.frames(mode) > 50 for mode in MODES), 90)
        began = {}
        for mode, proxy in proxies.items():
            began[mode] = time.monotonic()
            proxy.mode = mode
        stalled, opened = {}, {}

        def looked():
            now = time.monotonic()
            for mode in MODES:
                if mode not in stalled and kit.state(mode) == "stalled":
                    stalled[mode] = now - began[mode]
                if mode not in opened and ("stream.stall" in kit.found(mode)):
                    opened[mode] = now - began[mode]
            return len(opened) == len(MODES)

        kit.wait(looked, 60)
        kit.wait(lambda: all(kit.heard.report(mode).cause for mode in MODES), 15)
        causes = {mode: kit.heard.report(mode).cause for mode in MODES}
        frames = {mode: kit.frames(mode) for mode in MODES}
        back = {}
        began_again = time.monotonic()
        for proxy in proxies.values():
            proxy.mode = "pass"

        def judged():
            for mode in MODES:
                if mode not in back and kit.frames(mode) > frames[mode]:
                    back[mode] = time.monotonic() - began_again
            return len(back) == len(MODES)

        kit.wait(judged, 60)
        for mode in MODES:
            record_property(f"{mode}: stalled after s", round(stalled.get(mode, opened[mode]), 1))
            record_property(f"{mode}: incident after s", round(opened[mode], 1))
            record_property(f"{mode}: judged again after s", round(back[mode], 1))
        record_property("longest until the incident s", round(max(opened.values()), 1))
        record_property("longest until judged again s", round(max(back.values()), 1))
        found = {mode: kit.found(mode) for mode in MODES}
    assert all("stream.stall" in found[mode] for mode in MODES)
    # What a connection that only stalled has kept back comes in one burst, of which the newest is judged; that the
    # picture did not change meanwhile is then told as a freeze too.
    assert set().union(*found.values()) <= {"stream.stall", "video.freeze"}
    assert all(found[mode] == {"stream.stall"} for mode in ("reset", "close", "refuse"))
    assert causes["refuse"] in ("refused", "ended", "reset")
    assert causes["stall"] in ("no_data", "timeout")


def test_three_hundred_sources_that_drop_together_are_opened_again_at_a_pace(record_property):
    nobody = free_port()
    with TcpProxy(nobody) as proxy, live(slots=STREAMS) as kit:
        proxy.mode = "close"
        for number in range(STREAMS):
            kit.take(f"s{number}", f"http://127.0.0.1:{proxy.port}/{number}.ts", {"stream.stall": {}})
        # All have been there once, which is paced by nobody; from now on all of them try again and again.
        wait(lambda: len(proxy.opened) >= STREAMS, 120, lambda: len(proxy.opened))
        before, began = len(proxy.opened), time.monotonic()
        wait(lambda: len(proxy.opened) >= before + STREAMS, 180, lambda: len(proxy.opened))
        seconds = time.monotonic() - began
        opens = (len(proxy.opened) - before) / seconds
        record_property("opens per second", round(opens, 1))
        record_property("most opens within a second", proxy.busiest_second())
        assert opens <= OPENS_PER_SECOND


def test_flipped_bits_end_no_connection_and_cost_hardly_any_picture(clip, record_property):
    with OnAir({"one": clip}) as air, TcpProxy(_port(air), FLIPPED_SHARE, seed()) as proxy, live() as kit:
        url = f"http://127.0.0.1:{proxy.port}/one.ts"
        kit.take("flipped", url, {"stream.stall": {}, "stream.continuity": {}, "video.corruption": {}})
        kit.wait(lambda: kit.heard.seconds.get("flipped"), 90)
        proxy.mode = "flip"
        began, before = time.monotonic(), len(kit.heard.seconds["flipped"])
        kit.wait(lambda: len(kit.heard.seconds["flipped"]) >= before + SECONDS, 3 * SECONDS)
        took = time.monotonic() - began
        whole = [second.frames_measured for second in kit.heard.seconds["flipped"][before + 1 : before + SECONDS]]
        share_judged = sum(whole) / (25 * len(whole))
        record_property("bits flipped", proxy.flipped)
        record_property("connections", len(proxy.opened))
        record_property("share of pictures judged", round(share_judged, 4))
        found = kit.found("flipped")
    assert proxy.flipped >= SECONDS / 4, took
    assert len(proxy.opened) == 1
    assert share_judged >= 0.97
    assert "stream.stall" not in found


@pytest.mark.parametrize(("left_out", "told"), [("0:v", "stream.missing_audio"), ("1:a", "stream.missing_video")])
def test_a_channel_without_one_of_its_tracks_is_told_soon(tmp_path, left_out, told, record_property):
    silent = encode(tmp_path / "one.ts", 40, "-map", left_out)
    with OnAir({"one": silent}) as air, live() as kit:
        kit.take("one", air.url("one"), {"stream.stall": {}, "stream.missing_audio": {}, "stream.missing_video": {}})
        kit.wait(lambda: kit.state("one") == "running", 90)
        began = time.monotonic()
        kit.wait(lambda: kit.found("one"), 30)
        record_property("seconds until a missing track is told", round(time.monotonic() - began, 1))
        assert kit.found("one") == {told}


@pytest.mark.parametrize("share", [0.01])
def test_lost_datagrams_cost_hardly_any_picture(clip, share, record_property):
    port = free_port(socket.SOCK_DGRAM)
    with LossyRelay(port, share, seed()) as relay, live() as kit:
        kit.take(
            "lossy", f"udp://127.0.0.1:{port}", {"stream.stall": {}, "stream.continuity": {}, "video.corruption": {}}
        )
        command = [
            ffmpeg_exe(),
            "-v",
            "error",
            "-re",
            "-t",
            str(SECONDS),
            "-i",
            str(clip),
            "-c",
            "copy",
            "-f",
            "mpegts",
        ]
        sender = subprocess.Popen([*command, f"udp://127.0.0.1:{relay.port}?pkt_size=1316"], stdin=subprocess.DEVNULL)
        try:
            kit.wait(lambda: kit.frames("lossy") > 0, 30)
            assert sender.wait(90) == 0
            kit.wait(lambda: "stream.stall" in kit.found("lossy"), 30)
        finally:
            if sender.poll() is None:
                sender.kill()
                sender.wait()
        # Between its first and its last whole second: who joins waits for a key frame.
        whole = [second.frames_measured for second in kit.heard.seconds["lossy"] if second.frames_measured][2:-2]
        share_judged = sum(whole) / (25 * len(whole))
        record_property("share of datagrams lost", round(relay.lost / (relay.lost + relay.passed), 4))
        record_property("share of pictures judged", round(share_judged, 4))
        assert relay.lost > 0
        assert len(whole) > SECONDS / 2
        assert share_judged >= 0.98
        assert "stream.continuity" in kit.found("lossy")
