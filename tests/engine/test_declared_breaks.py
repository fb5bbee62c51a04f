"""Announced discontinuities of a playlist: an advertisement is no fault, the same jump unannounced is one."""

import subprocess

import pytest
from media import ffmpeg_exe
from origin import Origin

from engine.detectors import all_detectors
from engine.ingest.declared_breaks import DeclaredBreaks
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

# Name, seconds, and where its clock begins: forward by far, then back.
PARTS = (("film", 6, 0), ("ad", 4, 300), ("rest", 6, 100))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A folder of TS segments of 2 s, and each part's lines of its playlist."""
    folder = tmp_path_factory.mktemp("hls")
    lines = {}
    for name, seconds, begins in PARTS:
        subprocess.run(
            [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", f"testsrc2=size=320x180:rate=25:duration={seconds}",
             "-f", "lavfi", "-i", f"sine=f=440:d={seconds}", "-c:v", "libx264", "-preset", "ultrafast", "-g", "50",
             "-c:a", "aac", "-output_ts_offset", str(begins), "-f", "hls", "-hls_time", "2", "-hls_list_size", "0",
             "-hls_segment_filename", folder / f"{name}%d.ts", folder / f"{name}.m3u8"],
            check=True, timeout=60,
        )  # fmt: skip
        text = (folder / f"{name}.m3u8").read_text().splitlines()
        lines[name] = [line for line in text if line.startswith("#EXTINF") or not line.startswith("#")]
    return folder, lines


def write(folder, lines, name, *, declared):
    """A playlist of all parts."""
    head = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:0"]
    border = ["#EXT-X-DISCONTINUITY"] if declared else []
    body = [line for index, part in enumerate(lines.values()) for line in [*(border if index else []), *part]]
    (folder / name).write_text("\n".join([*head, *body, "#EXT-X-ENDLIST", ""]))
    return folder / name


def judged(url):
    """The incidents of transport, and what there was of it."""
    detectors = {d.name: {} for d in all_detectors() if d.track == "stream" and not d.optional}
    (outcome,) = check([StreamSpec("s", str(url), detectors=detectors)], EngineSettings(device="cpu"))
    return [(i.detector, round(i.start, 1)) for i in outcome.incidents], outcome.summary


@pytest.mark.parametrize("how", ["file", "http", "master"])
def test_an_announced_jump_is_no_fault(parts, how):
    folder, lines = parts
    playlist = write(folder, lines, "declared.m3u8", declared=True)
    (folder / "master.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=500000\ndeclared.m3u8\n")
    with Origin(folder) as origin:
        url = {"file": playlist, "http": f"{origin.url}/declared.m3u8", "master": f"{origin.url}/master.m3u8"}[how]
        incidents, summary = judged(url)
    assert incidents == []
    assert summary.frames_measured == 400
    assert summary.duration == pytest.approx(16.0, abs=0.1)


def test_the_same_jump_unannounced_is_told_where_it_lies(parts):
    folder, lines = parts
    incidents, summary = judged(write(folder, lines, "silent.m3u8", declared=False))
    assert incidents == [("stream.timestamps", 6.0), ("stream.timestamps", 10.0)]
    assert summary.frames_measured == 400


def test_playlists_are_looked_at_once_for_what_jumps_at_once_and_anew_later():
    now, asked, bodies = [0.0], [], [b"#EXTM3U\n#EXTINF:2,\na.ts\n"]

    def playlists():
        asked.append(now[0])
        return bodies

    declared = DeclaredBreaks(playlists, lambda: now[0])
    assert not declared()
    now[0], bodies[0] = 1.0, b"#EXTM3U\r\n#EXT-X-DISCONTINUITY\r\n#EXTINF:2,\r\nb.ts\r\n"
    assert not declared()
    now[0] = 3.0
    assert declared()
    bodies[0] = b"#EXTM3U\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n#EXTINF:2,\nc.ts\n"
    now[0] = 9.0
    assert not declared()
    assert asked == [0.0, 3.0, 9.0]
