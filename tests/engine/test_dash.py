"""DASH: manifests as they are parsed, and real ones from ffmpeg over HTTP."""

import itertools
import subprocess
import threading
import time
from pathlib import Path

import av
import pytest
from media import ffmpeg_exe
from origin import Origin
from programs import program

from engine.errors import SourceError
from engine.ingest.dash import DashPlaylists, parse_manifest
from engine.ingest.http_files import HttpFiles
from engine.ingest.source import Source
from engine.ingest.url_policy import UrlPolicy

TWO_SECONDS = 'duration="2"'
NUMBERED = 'timescale="1" duration="2" startNumber="1"'
ENDLESS = '<SegmentTimeline><S t="0" d="1" r="9999999"/></SegmentTimeline>'
HEAD = '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '


def manifest(text: str, now: float = 0.0):
    return parse_manifest(text.encode(), "https://origin.test/a/live.mpd", "cam", now)


def template(attributes: str, inner: str = "") -> str:
    return (
        f'<SegmentTemplate media="$RepresentationID$/$Number%05d$-$Time$-$Bandwidth$.m4s" '
        f'initialization="$RepresentationID$/init$$.mp4" {attributes}>{inner}</SegmentTemplate>'
    )


def video(inner: str, attributes: str = "") -> str:
    return (
        f'<AdaptationSet contentType="video"><Representation id="v" bandwidth="800" width="640" height="360" '
        f"{attributes}>{inner}</Representation></AdaptationSet>"
    )


def test_a_timeline_names_each_segment_by_number_and_time() -> None:
    inner = template(
        'timescale="10" startNumber="7"', '<SegmentTimeline><S t="100" d="20" r="1"/><S d="15"/></SegmentTimeline>'
    )
    [period] = manifest(
        f'{HEAD} type="static" mediaPresentationDuration="PT5.5S"><Period>{video(inner)}</Period></MPD>'
    ).periods
    [track] = period["video"]
    assert [s.url for s in track.segments] == [
        "https://origin.test/a/v/00007-100-800.m4s",
        "https://origin.test/a/v/00008-120-800.m4s",
        "https://origin.test/a/v/00009-140-800.m4s",
    ]
    assert [s.seconds for s in track.segments] == [2.0, 2.0, 1.5]
    assert track.initial is not None
    assert track.initial.url == "https://origin.test/a/v/init$.mp4"
    assert (track.rendition.width, track.rendition.height, track.rendition.bits_per_second) == (640, 360, 800)


@pytest.mark.parametrize(
    ("entries", "seconds"),
    [
        ('<S t="0" d="20" r="-1"/>', [2.0, 2.0, 2.0]),  # to the end of the period, 6 s
        ('<S t="0" d="20" r="-1"/><S t="40" d="10"/>', [2.0, 2.0, 1.0]),  # to the next entry
    ],
)
def test_an_open_repeat_runs_to_what_follows(entries: str, seconds: list[float]) -> None:
    inner = template('timescale="10"', f"<SegmentTimeline>{entries}</SegmentTimeline>")
    text = f'{HEAD} type="static" mediaPresentationDuration="PT6S"><Period>{video(inner)}</Period></MPD>'
    assert [s.seconds for s in manifest(text).periods[0]["video"][0].segments] == seconds


def test_a_live_manifest_without_a_timeline_goes_by_the_clock() -> None:
    head = f'{HEAD} type="dynamic" availabilityStartTime="1970-01-01T00:01:40Z" timeShiftBufferDepth="PT8S">'
    text = f'{head}<Period start="PT0S">{video(template(NUMBERED))}</Period></MPD>'
    found = manifest(text, now=121.0)  # 21 s after its start: ten whole segments, of which four are kept
    [track] = found.periods[0]["video"]
    assert found.live
    assert [s.url.rpartition("/")[2].partition("-")[0] for s in track.segments] == ["00007", "00008", "00009", "00010"]


def test_what_outer_elements_say_holds_within() -> None:
    text = (
        f'{HEAD} type="static" mediaPresentationDuration="PT4S"><BaseURL>https://cdn.test/x/</BaseURL>'
        f'<Period><SegmentTemplate timescale="1" duration="2"/>'
        f'<AdaptationSet mimeType="audio/mp4"><BaseURL>snd/</BaseURL>'
        f'<SegmentTemplate media="$Number$.m4s" initialization="i.mp4"/><Representation id="a" bandwidth="1"/>'
        f"</AdaptationSet></Period></MPD>"
    )
    [track] = manifest(text).periods[0]["audio"]
    assert [s.url for s in track.segments] == ["https://cdn.test/x/snd/1.m4s", "https://cdn.test/x/snd/2.m4s"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<html></html>", "its root is html"),
        ("<MPD", "cannot be read"),
        (f'<!DOCTYPE x [<!ENTITY a "b">]>{HEAD}></MPD>', "document type"),
        (f'{HEAD} type="static"><Period/></MPD>', "has no segments"),
        (f'{HEAD} type="static" mediaPresentationDuration="soon"><Period/></MPD>', "'soon' is no duration"),
        (f'{HEAD} type="static"><Period>{video(template(TWO_SECONDS))}</Period></MPD>', "how long it is"),
        (f'{HEAD} type="static"><Period>{video(template(""))}</Period></MPD>', "cannot be read"),
        (
            f'{HEAD} type="static" mediaPresentationDuration="PT4S"><Period>'
            f'{video("<ContentProtection/>" + template(TWO_SECONDS))}</Period></MPD>',
            "encrypted",
        ),
        (
            f'{HEAD} type="static" mediaPresentationDuration="PT4S"><Period>'
            f'{video(template("", ENDLESS))}</Period></MPD>',
            "more than",
        ),
    ],
)  # fmt: skip
def test_what_a_bad_manifest_is_told(text: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        manifest(text)


def test_segments_keep_their_numbers_while_the_window_moves(tmp_path: Path) -> None:
    inner = "<S t='{t}' d='20' r='2'/>"

    def document(first: int) -> bytes:
        timeline = template('timescale="10"', f"<SegmentTimeline>{inner.format(t=first)}</SegmentTimeline>")
        text = f'{HEAD} type="dynamic" availabilityStartTime="1970-01-01T00:00:00Z" minimumUpdatePeriod="PT0S">'
        return f"{text}<Period>{video(timeline)}</Period></MPD>".encode()

    first = 0
    with Origin(tmp_path, {"/live.mpd": lambda: (200, {}, document(first))}) as origin:
        playlists = DashPlaylists(f"{origin.url}/live.mpd", "cam", HttpFiles("cam", UrlPolicy(), (5.0, 5.0)), "best")
        sequences = []
        for first in (0, 20, 40, 80):  # noqa: B007 - read by the answer
            text = playlists.lists()["video"]()[0].decode()
            sequences.append(int(text.partition("MEDIA-SEQUENCE:")[2].split()[0]))
            assert "ENDLIST" not in text
    assert sequences == [0, 1, 2, 4]


def make_dash(folder: Path, *options: str, seconds: float = 6) -> Path:
    """Two renditions of the picture, and sound, in segments of a second."""
    sources = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r=25:d={seconds}"]
    sources += ["-f", "lavfi", "-i", f"sine=frequency=440:d={seconds}"]
    maps = ["-map", "0:v", "-map", "0:v", "-map", "1:a", "-s:v:1", "160x90", "-b:v:0", "400k", "-b:v:1", "100k"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = [ffmpeg_exe(), "-y", "-v", "error", *sources, *maps, *codecs, "-seg_duration", "1", *options]
    folder.mkdir(exist_ok=True)
    subprocess.run([*command, "-f", "dash", str(folder / "a.mpd")], check=True, timeout=120)
    return folder


def read(source: Source) -> dict[str, int]:
    counts = {"video": 0, "audio": 0}
    for packet in source.packets():
        counts[packet.track] += 1
    return counts


@pytest.mark.parametrize(
    "options",
    [("-use_timeline", "1"), ("-use_timeline", "0"), ("-single_file", "1")],
    ids=["timeline", "numbers", "one file, ranges of bytes"],
)
@pytest.mark.parametrize(("rendition", "height"), [("best", 180), ("worst", 90), ("100", 90)])
def test_a_manifest_on_demand_is_read_whole(
    tmp_path: Path, options: tuple[str, ...], rendition: str, height: int
) -> None:
    folder = make_dash(tmp_path / "dash", *options)
    with Origin(folder) as origin, Source(f"{origin.url}/a.mpd", rendition=rendition) as source:
        info = source.open()
        assert (info.container, info.live) == ("dash", False)
        assert info.duration == pytest.approx(6.0, abs=0.2)
        assert info.video is not None
        assert info.video.height == height
        counts = read(source)
        assert source.error is None
        assert counts["video"] == 150
        assert counts["audio"] == pytest.approx(6 * 44100 / 1024, abs=3)


def test_only_the_chosen_rendition_is_fetched(tmp_path: Path) -> None:
    folder = make_dash(tmp_path / "dash")
    with Origin(folder) as origin:
        with Source(f"{origin.url}/a.mpd", rendition="worst") as source:
            source.open()
            read(source)
        assert not [path for path in origin.asked if "stream0" in path]
        assert [path for path in origin.asked if "stream1" in path]


def test_a_segment_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    folder = make_dash(tmp_path / "dash")
    (folder / "chunk-stream0-00003.m4s").unlink()
    with Origin(folder) as origin, Source(f"{origin.url}/a.mpd") as source:
        source.open()
        assert read(source)["video"] == 125
        assert source.error is None


def test_a_manifest_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with Origin(tmp_path) as origin, pytest.raises(SourceError, match="HTTP 404"):
        Source(f"{origin.url}/a.mpd").open()


@pytest.mark.slow
def test_a_live_manifest_goes_on_and_its_standstill_has_a_cause(tmp_path: Path) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    command = [
        program("ffmpeg"), "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25", "-f", "lavfi",
        "-i", "sine",
        "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac",
        "-seg_duration", "1", "-window_size", "6", "-f", "dash", str(folder / "a.mpd"),
    ]  # fmt: skip
    packager = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not (folder / "chunk-stream0-00003.m4s").exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with Origin(folder) as origin, Source(f"{origin.url}/a.mpd", read_timeout_seconds=4.0) as source:
            info = source.open()
            assert info.live
            began, times = time.monotonic(), []
            for packet in source.packets():
                if packet.track == "video":
                    times.append(packet.pts)
                    if time.monotonic() - began > 8:
                        break
            assert len(times) > 150  # 8 s, and what was there at the start
            assert max(b - a for a, b in itertools.pairwise(times)) < 0.1
            packager.kill()
            packager.wait(10)
            stop = threading.Timer(12.0, source.give_up)
            stop.start()
            for _ in source.packets():
                pass
            stop.cancel()
            assert source.why_ended() in ("timeout", "stalled_playlist")
    finally:
        packager.kill()
        packager.wait(10)


def test_a_master_playlist_gives_the_rendition_that_is_asked_for(tmp_path: Path) -> None:
    command = [
        ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=4", "-f", "lavfi",
        "-i", "sine=d=4", "-map", "0:v", "-map", "1:a", "-map", "0:v", "-map", "1:a", "-s:v:1", "160x90",
        "-b:v:0", "400k", "-b:v:1", "100k", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25",
        "-pix_fmt", "yuv420p", "-c:a", "aac", "-hls_time", "1",
        "-hls_playlist_type", "vod", "-var_stream_map", "v:0,a:0 v:1,a:1", "-master_pl_name", "master.m3u8",
        "-hls_segment_filename", str(tmp_path / "s%v_%d.ts"), "-f", "hls", str(tmp_path / "v%v.m3u8"),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=120)
    with Origin(tmp_path) as origin:
        for rendition, height in (("best", 180), ("worst", 90), ("90", 90), ("720", 180)):
            with Source(f"{origin.url}/master.m3u8", rendition=rendition) as source:
                info = source.open()
                assert info.video is not None
                assert info.video.height == height
                assert info.audio is not None
                assert read(source)["video"] == 100
        asked = set(origin.asked)
        assert "/s0_3.ts" in asked
        origin.asked.clear()
        with Source(f"{origin.url}/master.m3u8", rendition="worst") as source:
            source.open()
            read(source)
        assert "/s0_3.ts" not in origin.asked  # the other one's segments are not fetched beyond what opening looks at


def test_sound_alone_in_a_manifest(tmp_path: Path) -> None:
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", "sine=d=3", "-c:a", "aac", "-f", "dash"]
    subprocess.run([*command, str(tmp_path / "a.mpd")], check=True, timeout=60)
    with Origin(tmp_path) as origin, Source(f"{origin.url}/a.mpd") as source:
        info = source.open()
        assert info.video is None
        assert info.audio is not None
        assert read(source)["audio"] > 100


def test_pyav_still_opens_files_through_us() -> None:
    assert "io_open" in av.open.__doc__  # what DASH and the checked addresses rest on
