"""What goes wrong below the pictures is told once, and from the packet where it begins to the one where it ends."""

import subprocess

import av
import pytest
from media import ffmpeg_exe

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis import transport as plant

PICTURE = 0.04


def told(path):
    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    # A test pattern is mono, of one tone, and drawn with hard edges: none of that is the transport's.
    return [i for i in outcome.incidents if i.detector.startswith("stream.") or i.detector == "video.freeze"]


def encode(path, *options, seconds):
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", f"mandelbrot=s=320x180:r=25,trim=0:{seconds}"]
    command += ["-f", "lavfi", "-i", f"anoisesrc=a=0.1:d={seconds}:r=48000", "-pix_fmt", "yuv420p", "-g", "25"]
    subprocess.run([*command, "-c:a", "aac", *options, str(path)], check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Twelve seconds of pictures that hardly change from one to the next, and of sound."""
    folder = tmp_path_factory.mktemp("told_once")
    path = encode(folder / "base.ts", "-c:v", "libx264", "-preset", "ultrafast", "-muxrate", "3M", seconds=12)
    assert told(path) == []
    return path


def without(source, path, kind, start, end):
    """The same packets but for those of a track that are due within a time."""
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        tracks = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        zero = given.start_time / 1e6
        for packet in given.demux():
            if packet.dts is None:
                continue
            at = float(packet.pts * packet.time_base) - zero
            if packet.stream.type != kind or not start <= at < end:
                packet.stream = tracks[packet.stream.index]
                made.mux(packet)
    return path


@pytest.mark.parametrize("seconds", [2.0, 5.0, 8.0])
def test_a_jump_of_both_tracks_is_one_incident_and_no_freeze_or_missing_track(tmp_path, base, seconds):
    data, planted = plant.jump_timestamps(base.read_bytes(), 5.0, seconds)
    path = tmp_path / "jump.ts"
    path.write_bytes(data)
    [incident] = told(path)
    assert incident.detector == "stream.timestamps"
    assert incident.start == pytest.approx(planted.start, abs=0.3)
    assert incident.end == pytest.approx(planted.start + seconds, abs=0.3)


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_track_that_stays_out_is_missing_from_its_last_packet_to_its_next_one(tmp_path, base, kind):
    [incident] = told(without(base, tmp_path / "missing.mkv", kind, 3.0, 9.36))
    assert incident.detector == f"stream.missing_{kind}"
    assert incident.start == pytest.approx(3.0, abs=3 * PICTURE)
    assert incident.end == pytest.approx(9.36, abs=2 * PICTURE)


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_track_that_begins_late_is_missing_and_not_also_apart(tmp_path, base, kind):
    [incident] = told(without(base, tmp_path / "late.mkv", kind, 0.0, 6.0))
    assert (incident.detector, incident.start) == (f"stream.missing_{kind}", 0.0)
    assert incident.end == pytest.approx(6.0, abs=1.1)  # pictures wait for the next key frame


def test_another_codec_on_the_same_pid_is_a_change_of_format(tmp_path, base):
    before = encode(tmp_path / "a.ts", "-c:v", "mpeg2video", "-b:v", "2M", seconds=3)
    after = encode(tmp_path / "b.ts", "-c:v", "libx264", "-output_ts_offset", "3", seconds=3)
    path = tmp_path / "codec.ts"
    path.write_bytes(before.read_bytes() + after.read_bytes())
    [change] = told(path)
    assert change.detector == "stream.format_change"
    assert change.cause == "MPEG-2 -> H.264"
    assert change.start == pytest.approx(3.0, abs=0.3)


def test_a_clock_that_jitters_for_long_is_told_to_its_end(tmp_path, base):
    data, planted = plant.jitter_pcr(base.read_bytes(), 4.0, 9.0, 1e-3)
    path = tmp_path / "jitter.ts"
    path.write_bytes(data)
    [incident] = told(path)
    assert incident.detector == "stream.continuity"
    assert incident.start == pytest.approx(planted.start, abs=0.2)
    assert incident.end == pytest.approx(planted.end, abs=0.2)
