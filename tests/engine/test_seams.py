"""Another multiplex behind the one before, on the same PIDs: told once, as what it did, and read on at once."""

import subprocess

import pytest
from media import ffmpeg_exe

from engine.ingest.findings import Occurrences
from engine.ingest.seams import Seams
from engine.ingest.source import Source
from engine.ingest.transport_stream import crc32_mpeg
from engine.pipeline import check
from engine.reader import MOST_FOLLOWED
from engine.spec import EngineSettings, StreamSpec
from models.synthesis import transport as plant

PICTURES = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "25"]
SECONDS = 3
RATE = 25


def encode(path, *options, size="320x180", begin=0.0, sound="anoisesrc=a=0.1", seconds=SECONDS):
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", f"mandelbrot=s={size}:r={RATE},trim=0:{seconds}"]
    command += ["-f", "lavfi", "-i", f"{sound}:d={seconds}:sample_rate=48000", *PICTURES, "-c:a", "aac", *options]
    subprocess.run([*command, "-output_ts_offset", str(begin), str(path)], check=True, timeout=60)
    return path.read_bytes()


def judge(path, data):
    path.write_bytes(data)
    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    return outcome.summary, [i for i in outcome.incidents if i.detector.startswith(("stream.", "audio.s"))]


@pytest.mark.parametrize(
    ("options", "size", "cause"),
    [
        (["-c:v", "mpeg2video", "-b:v", "2M"], "320x180", "H.264 -> MPEG-2"),
        (["-c:a", "ac3"], "320x180", "AAC -> AC-3"),
        (["-c:a", "mp2"], "320x180", "AAC -> MPEG audio"),
        ([], "160x96", "320x180 -> 160x96"),
    ],
)
def test_what_is_coded_otherwise_is_one_change_of_format_and_read_on(tmp_path, options, size, cause):
    before = encode(tmp_path / "a.ts")
    after = encode(tmp_path / "b.ts", *options, size=size, begin=SECONDS)
    summary, [change] = judge(tmp_path / "joined.ts", before + after)
    assert (change.detector, change.cause) == ("stream.format_change", cause)
    assert change.start == pytest.approx(SECONDS, abs=0.15)
    assert summary.decode_errors == 0
    assert summary.frames_decoded == pytest.approx(2 * SECONDS * RATE, abs=2)
    assert summary.audio_seconds == pytest.approx(2 * SECONDS, abs=0.15)


def test_it_is_followed_there_and_back(tmp_path):
    first = encode(tmp_path / "a.ts")
    other = encode(tmp_path / "b.ts", "-c:v", "mpeg2video", "-b:v", "2M", begin=SECONDS)
    last = encode(tmp_path / "c.ts", begin=2 * SECONDS)
    summary, changes = judge(tmp_path / "joined.ts", first + other + last)
    assert [change.cause for change in changes] == ["H.264 -> MPEG-2", "MPEG-2 -> H.264"]
    assert [change.start for change in changes] == pytest.approx([SECONDS, 2 * SECONDS], abs=0.25)
    assert summary.frames_decoded == pytest.approx(3 * SECONDS * RATE, abs=3)


def test_pids_that_are_others_are_followed(tmp_path):
    before = encode(tmp_path / "a.ts")
    after = encode(tmp_path / "b.ts", "-mpegts_start_pid", "0x200", begin=SECONDS)
    summary, told = judge(tmp_path / "joined.ts", before + after)
    assert not {incident.detector for incident in told} & {"stream.missing_video", "stream.missing_audio"}
    assert summary.frames_decoded == pytest.approx(2 * SECONDS * RATE, abs=2)


def with_tables_that_change_their_mind(data):
    """Every other PMT calls the H.264 pictures MPEG-2."""
    out, tables = bytearray(data), 0
    for at in range(0, len(data), 188):
        if (data[at + 1] & 0x1F) << 8 | data[at + 2] != 0x1000 or not data[at + 1] & 0x40:
            continue
        begin = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        begin += 1 + data[begin]
        end = begin + 3 + ((data[begin + 1] & 0x0F) << 8 | data[begin + 2])
        tables += 1
        if tables % 2 == 0:
            section = bytearray(data[begin : end - 4])
            section[5] ^= 0x02  # another version
            section[12 + ((section[10] & 0x0F) << 8 | section[11])] = 0x02
            out[begin:end] = section + crc32_mpeg(bytes(section)).to_bytes(4, "big")
    assert tables > 40
    return bytes(out)


def test_tables_that_change_all_the_time_are_told_and_not_followed_for_good(tmp_path, monkeypatch):
    followed = []
    go_from = Source.go_from

    def counted(self, position):
        followed.append(position)
        return go_from(self, position)

    monkeypatch.setattr(Source, "go_from", counted)
    data = with_tables_that_change_their_mind(encode(tmp_path / "a.ts", seconds=8))
    _, told = judge(tmp_path / "flaps.ts", data)
    assert {each.detector for each in told} >= {"stream.format_change"}
    assert 1 <= len(followed) <= MOST_FOLLOWED


def test_a_lost_packet_is_told_though_no_seam_is_there(tmp_path):
    data, planted = plant.drop_packets(encode(tmp_path / "a.ts"), 1.5)
    _, told = judge(tmp_path / "lost.ts", data)
    [incident] = [each for each in told if each.detector == "stream.continuity"]
    assert incident.start == pytest.approx(planted.start, abs=0.1)


def test_quiet_before_and_after_a_hole_is_no_silence(tmp_path):
    pause = "aevalsrc='0.1*(random(0)-0.5)*(1-between(t,5.2,6.8))'"
    whole = encode(tmp_path / "a.ts", sound=pause, seconds=12)
    _, told = judge(tmp_path / "whole.ts", whole)
    assert told == []
    _, told = judge(tmp_path / "hole.ts", plant.jump_timestamps(whole, 6.0, 5.0)[0])
    assert [each.detector for each in told] == ["stream.timestamps"]


def told_of(seams, column, end):
    seams.settle(end, last=False)
    return [row.start for row in column.rows(end - 1, end, last=False) if row.values["c"]]


def test_a_counter_that_breaks_twice_behind_a_seam_has_lost_packets():
    seams, column = Seams(), Occurrences("c")
    for at in (4.9, 5.2):
        seams.add(at, 256, "lost", column, until=at)
    seams.tell(4.9, other_format=True)
    assert told_of(seams, column, 6.0) == [5.2]


def test_a_break_of_the_tables_waits_for_what_may_explain_it():
    seams, column = Seams(), Occurrences("c")
    for pid in (0, 256):
        seams.add(4.9, pid, "lost", column, until=4.9)
    assert told_of(seams, column, 5.0) == []
    assert told_of(seams, column, 6.0) == [4.9]


def test_times_that_overlap_are_no_seam_by_themselves():
    seams, column = Seams(), Occurrences("c")
    seams.add(4.9, -2, "back", column, until=4.9, overlap=True)
    seams.tell(4.9, other_format=False)
    assert told_of(seams, column, 5.0) == [4.9]
