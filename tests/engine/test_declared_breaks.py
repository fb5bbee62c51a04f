"""Announced discontinuities of a playlist: an advertisement is no fault, the same jump unannounced is one."""

import os
import signal
import subprocess
import time

import pytest
from live_kit import live, wait
from media import ffmpeg_exe
from origin import Origin

from engine.detectors import all_detectors
from engine.ingest.remote import RemoteSource
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

SECONDS = {"film": 6, "ad": 4, "rest": 6}
FAR = {"film": 0, "ad": 300, "rest": 100}  # where each part's clock begins: forward by far, then back
NEAR = {"film": 0, "ad": 9, "rest": 6}  # less than what the clock takes for a jump by itself
SMALL = ("size=320x180:rate=25", "2")
LARGE = ("size=640x360:rate=30", "1")


def encode(folder, name, begins, kind="mpegts", form=SMALL, track="", seconds=None):
    """One part as segments of 2 s; returns its lines of a playlist. Of one track where that is named."""
    picture, channels = form
    duration = seconds or SECONDS[name]
    stem = f"{name}{begins}{kind}{channels}{track}{duration}"
    suffix = "ts" if kind == "mpegts" else "m4s"
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", f"testsrc2={picture}:duration={duration}",
         "-f", "lavfi", "-i", f"sine=f=440:d={duration}", "-c:v", "libx264", "-preset", "ultrafast",
         "-force_key_frames", "expr:gte(t,n_forced*2)", "-c:a", "aac", "-ac", channels,
         *{"video": ["-an"], "audio": ["-vn"]}.get(track, []), "-output_ts_offset", str(begins),
         "-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_segment_type", kind,
         "-hls_fmp4_init_filename", f"{stem}.mp4", "-hls_segment_filename", folder / f"{stem}-%d.{suffix}",
         folder / f"{stem}.m3u8"],
        check=True, timeout=60,
    )  # fmt: skip
    text = (folder / f"{stem}.m3u8").read_text().splitlines()
    return [line for line in text if line.startswith(("#EXTINF", "#EXT-X-MAP")) or not line.startswith("#")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hls")


@pytest.fixture(scope="module")
def parts(folder):
    """Lines of a playlist for each part, by where its clock begins."""
    return {(name, at): encode(folder, name, at) for times in (FAR, NEAR) for name, at in times.items()}


def write(folder, name, bodies, declared=(True, True)):
    """A playlist of parts, some borders of which are announced."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:0"]
    for index, body in enumerate(bodies):
        lines += ["#EXT-X-DISCONTINUITY"] if index and declared[index - 1] else []
        lines += body
    (folder / name).write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    return folder / name


def judged(url):
    """The incidents of transport, and what there was of it."""
    detectors = {d.name: {} for d in all_detectors() if d.track == "stream" and not d.optional}
    (outcome,) = check([StreamSpec("s", str(url), detectors=detectors)], EngineSettings(device="cpu"))
    return [(i.detector, round(i.start, 1)) for i in outcome.incidents], outcome.summary


@pytest.mark.parametrize("how", ["file", "http", "master"])
def test_an_announced_jump_is_no_fault(folder, parts, how):
    playlist = write(folder, "declared.m3u8", [parts[part] for part in FAR.items()])
    (folder / "master.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000\ndeclared.m3u8\n")
    with Origin(folder) as origin:
        url = {"file": playlist, "http": f"{origin.url}/declared.m3u8", "master": f"{origin.url}/master.m3u8"}[how]
        incidents, summary = judged(url)
        assert len(origin.asked) == len(set(origin.asked))  # nothing is fetched twice
    assert incidents == []
    assert summary.frames_measured == 400
    assert summary.duration == pytest.approx(16.0, abs=0.1)


def test_a_small_step_is_none_where_it_is_announced(folder, parts):
    incidents, summary = judged(write(folder, "near.m3u8", [parts[part] for part in NEAR.items()]))
    assert incidents == []
    assert summary.frames_measured == 400
    assert summary.duration == pytest.approx(16.0, abs=0.1)
    incidents, _ = judged(write(folder, "near2.m3u8", [parts[part] for part in NEAR.items()], declared=(False, True)))
    assert ("stream.timestamps", 6.0) in incidents


def test_an_announced_break_excuses_its_own_border_only(folder, parts):
    playlist = write(folder, "half.m3u8", [parts[part] for part in FAR.items()], declared=(True, False))
    incidents, summary = judged(playlist)
    assert ("stream.timestamps", 10.0) in incidents
    assert not [start for _, start in incidents if start < 10]
    assert summary.frames_measured == 400


def test_the_same_jump_unannounced_is_told_where_it_lies(folder, parts):
    playlist = write(folder, "silent.m3u8", [parts[part] for part in FAR.items()], declared=(False, False))
    incidents, summary = judged(playlist)
    assert [one for one in incidents if one[0] == "stream.timestamps"] == [
        ("stream.timestamps", 6.0),
        ("stream.timestamps", 10.0),
    ]
    assert {name for name, _ in incidents} == {"stream.timestamps"}  # not its counters too: docs/decisions/0100
    assert summary.frames_measured == 400


def test_an_advertisement_of_another_size_rate_and_layout(folder, parts):
    ad = encode(folder, "ad", 300, form=LARGE)
    bodies = [parts["film", 0], ad, parts["rest", 100]]
    incidents, summary = judged(write(folder, "large.m3u8", bodies))
    assert incidents == []
    assert summary.frames_measured == 150 + 120 + 150
    assert summary.duration == pytest.approx(16.0, abs=0.1)
    incidents, _ = judged(write(folder, "large2.m3u8", bodies, declared=(False, False)))
    assert ("stream.format_change", 6.0) in incidents


def test_fragments_with_a_header_of_their_own_behind_each_break(folder):
    """libav's demuxer takes no notice of a second header, so each stretch is opened anew, and nothing else is."""
    bodies = [encode(folder, name, at, "fmp4", LARGE if name == "ad" else SMALL) for name, at in FAR.items()]
    write(folder, "fragments.m3u8", bodies)
    with Origin(folder) as origin:
        incidents, summary = judged(f"{origin.url}/fragments.m3u8")
        assert len(origin.asked) == len(set(origin.asked))
    assert incidents == []
    assert summary.frames_measured == 150 + 120 + 150
    assert summary.decode_errors == 0
    assert summary.duration == pytest.approx(16.0, abs=0.2)


@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_pictures_and_sound_with_a_playlist_each(folder, kind):
    for track in ("video", "audio"):
        bodies = [encode(folder, name, at, kind, track=track) for name, at in FAR.items()]
        write(folder, f"{track}{kind}.m3u8", bodies)
    text = f"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="one",DEFAULT=YES,URI="audio{kind}.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=500000,RESOLUTION=320x180,AUDIO="a"
video{kind}.m3u8
"""
    (folder / f"both{kind}.m3u8").write_text(text)
    incidents, summary = judged(folder / f"both{kind}.m3u8")
    assert incidents == []
    assert summary.frames_measured == 400
    assert summary.duration == pytest.approx(16.0, abs=0.2)


def test_the_periods_of_a_manifest(folder):
    """An advertisement of another size, its times from its own zero."""

    def represented(lines, kind, size):
        header = next(line.split('"')[1] for line in lines if line.startswith("#EXT-X-MAP"))
        media = "".join(f'<SegmentURL media="{line}"/>' for line in lines if not line.startswith("#"))
        return f"""<AdaptationSet contentType="{kind}">
<Representation id="{kind}" bandwidth="500000" {size}>
<SegmentList duration="2"><Initialization sourceURL="{header}"/>{media}</SegmentList>
</Representation></AdaptationSet>"""

    periods = []
    for name, at in {"film": 0, "ad": 0, "rest": 6}.items():
        form = LARGE if name == "ad" else SMALL
        size = 'width="640" height="360"' if name == "ad" else 'width="320" height="180"'
        tracks = "".join(
            represented(encode(folder, name, at, "fmp4", form, track), track, size if track == "video" else "")
            for track in ("video", "audio")
        )
        periods.append(f'<Period duration="PT{SECONDS[name]}S">{tracks}</Period>')
    head = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT16S">'
    (folder / "periods.mpd").write_text(f"{head}{''.join(periods)}</MPD>")
    with Origin(folder) as origin:
        incidents, summary = judged(f"{origin.url}/periods.mpd")
    assert incidents == []
    assert summary.frames_measured == 150 + 120 + 150
    assert summary.decode_errors == 0
    assert summary.duration == pytest.approx(16.0, abs=0.2)


def segments(folder, kind, seconds=None):
    """Film, an advertisement of another form, and film again: (part, announced break, lines) of each segment."""
    entries = []
    for name, at in FAR.items():
        header: list[str] = []
        for line in encode(folder, name, at, kind, LARGE if name == "ad" else SMALL, seconds=seconds):
            if line.startswith("#"):
                header.append(line)
                continue
            broken = bool(entries) and name != entries[-1][0]
            # A header holds on until the next one.
            held = [tag for tag in header if tag.startswith("#EXT-X-MAP")]
            entries.append((name, broken, [*held, *(tag for tag in header if tag not in held), line]))
            header = held
    return entries


def sliding(entries, seconds, counted):
    """A live playlist of four segments, to which one is added every so many seconds."""
    began = time.monotonic()

    def playlist():
        newest = min(len(entries), 4 + int((time.monotonic() - began) / seconds))
        first = max(0, newest - 4)
        lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        if counted:
            lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{sum(broken for _, broken, _ in entries[:first])}")
        for _, broken, body in entries[first:newest]:
            lines += [*["#EXT-X-DISCONTINUITY"] * broken, *body]
        return 200, {}, "\n".join([*lines, *["#EXT-X-ENDLIST"] * (newest == len(entries)), ""]).encode()

    return playlist


@pytest.mark.slow
@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("kind", ["mpegts", "fmp4"])
def test_a_live_window_that_slides_over_announced_breaks(folder, kind, counted):
    """Segments of 2 s; one is added every second, to spare time."""
    with Origin(folder, {"/live.m3u8": sliding(segments(folder, kind), 1.0, counted)}) as origin:
        incidents, summary = judged(f"{origin.url}/live.m3u8")
        asked = [path for path in origin.asked if path != "/live.m3u8"]
    assert incidents == []
    assert len(asked) == len(set(asked))
    assert summary.decode_errors == 0
    # It begins three segments from the end of what is shown first: with the second one of the film.
    assert summary.frames_measured == 100 + 120 + 150
    assert summary.duration == pytest.approx(14.0, abs=0.2)


@pytest.mark.slow
def test_an_ingest_process_tells_of_the_tracks_behind_a_break(folder):
    bodies = [encode(folder, name, at, "fmp4", LARGE if name == "ad" else SMALL, seconds=2) for name, at in FAR.items()]
    write(folder, "short.m3u8", bodies)
    detectors = {d.name: {} for d in all_detectors() if d.track == "stream" and not d.optional}
    with Origin(folder) as origin, live() as kit:
        kit.take("s", f"{origin.url}/short.m3u8", detectors)
        kit.wait(lambda: "s" in kit.heard.ended, 60)
        assert kit.found("s") == set()
        summary = kit.heard.ended["s"].summary
    assert summary.frames_measured == 50 + 60 + 50
    assert summary.decode_errors == 0
    assert summary.duration == pytest.approx(6.0, abs=0.2)


@pytest.mark.slow
def test_an_ingest_process_that_dies_behind_a_break_is_followed_by_one_that_reads_on(folder, monkeypatch):
    """It has said what follows the break, and is gone before the first packet of that."""
    died = []
    opened = RemoteSource._opened

    def dies(source, said, begin):
        if source.clock is not None and not died:
            died.append(time.monotonic())
            gone = kit.reader
            os.kill(gone.pid, signal.SIGKILL)
            wait(lambda: not source._link.alive and gone.ended() is not None, 5)
            gone.close()
            kit.start_reader()
        return opened(source, said, begin)

    detectors = {name: {} for name in ("stream.stall", "stream.timestamps", "video.freeze", "stream.missing_audio")}
    entries = segments(folder, "fmp4", seconds=8)
    with Origin(folder, {"/live.m3u8": sliding(entries, 2.0, True)}) as origin, live() as kit:
        monkeypatch.setattr(RemoteSource, "_opened", dies)
        kit.take("s", f"{origin.url}/live.m3u8", detectors)
        kit.wait(lambda: died, 40)
        measured = kit.frames("s")
        kit.wait(lambda: kit.frames("s") > measured + 60 and kit.state("s") == "running", 15)
        kit.wait(lambda: (said := kit.heard.report("s")) is not None and "320x180" in (said.video or ""), 30)
        measured = kit.frames("s")
        kit.wait(lambda: kit.frames("s") > measured + 30, 15)
        assert kit.found("s") <= {"stream.stall"}, kit.heard.incidents
        seconds = kit.heard.seconds["s"]
        assert [second.second for second in seconds] == list(range(len(seconds)))
