"""A packet of a transport stream that is sent twice, as the standard allows, is taken once."""

import gc
import random
import subprocess
import warnings

import pytest
from media import ffmpeg_exe

from engine.ingest.copies import Copies, WithoutCopies, has_copies
from engine.ingest.file_from import FileFrom
from engine.ingest.raw_bytes import TappedBytes
from engine.ingest.source import Source
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

PACKET = 188
CODECS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"),
    "mpeg2": ("-c:v", "mpeg2video", "-c:a", "mp2"),
}


def encode(path, *options):
    """Six seconds of pictures and a tone."""
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=6"]
    command += ["-f", "lavfi", "-i", "sine=440:d=6:r=48000", "-g", "25", "-pix_fmt", "yuv420p", "-b:v", "800k"]
    subprocess.run([*command, *options, str(path)], check=True, timeout=60)
    return path.read_bytes()


def packets(data):
    return [data[at : at + PACKET] for at in range(0, len(data), PACKET)]


def with_copies(data, share, draw, *, other_clock=False):
    """Each packet with a payload a second time, or some of them; with a PCR that went on where it has one."""
    made = bytearray()
    for packet in packets(data):
        made += packet
        if packet[3] & 0x10 and draw.random() < share:
            copy = bytearray(packet)
            if other_clock and packet[3] & 0x20 and packet[4] >= 7 and packet[5] & 0x10:
                clock = (int.from_bytes(copy[6:11], "big") >> 7) + 1
                copy[6:11] = (clock << 7 | copy[10] & 0x7F).to_bytes(5, "big")
            made += copy
    return bytes(made)


def pid_of(packet):
    return (packet[1] & 0x1F) << 8 | packet[2]


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    return {name: encode(folder / f"{name}.ts", *options) for name, options in CODECS.items()}


def judged(path):
    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    told = {incident.detector for incident in outcome.incidents}
    return told, outcome.summary.frames_decoded, outcome.summary.decode_errors, outcome.summary.audio_seconds


@pytest.mark.parametrize("share", [0.02, 1.0])
@pytest.mark.parametrize("codec", CODECS)
def test_a_file_whose_packets_come_twice_is_judged_as_if_they_came_once(tmp_path, streams, codec, share):
    once, twice = tmp_path / "once.ts", tmp_path / "twice.ts"
    once.write_bytes(streams[codec])
    twice.write_bytes(with_copies(streams[codec], share, random.Random(5), other_clock=True))
    told, *rest = judged(twice)
    told_once, *expected = judged(once)
    assert rest == expected
    assert told == told_once


def test_a_copy_becomes_a_null_packet_and_a_third_one_stays(streams):
    before = packets(streams["h264"])
    at = next(n for n, packet in enumerate(before) if n > 100 and packet[3] & 0x10)
    data = b"".join([*before[: at + 1], before[at], before[at], *before[at + 1 :]])
    copies = Copies()
    after = packets(copies.without(data) + copies.without(b""))
    assert (len(after) * PACKET, copies.found) == (len(data), 1)
    assert pid_of(after[at + 1]) == 0x1FFF
    assert after[: at + 1] + after[at + 2 :] == [*before[: at + 1], *before[at:]]


@pytest.mark.parametrize("seed", range(3))
def test_it_does_not_matter_where_pieces_are_cut(streams, seed):
    draw = random.Random(seed)
    data = b"\x00" * draw.randrange(188) + with_copies(streams["h264"], 0.3, draw)
    whole, cut, at, made = Copies(), Copies(), 0, b""
    while at < len(data):
        size = draw.choice((1, 100, 188, 1316, 5000, 32_768))
        made += cut.without(data[at : at + size])
        at += size
    made += cut.without(b"")
    assert made == whole.without(data) + whole.without(b"")
    assert cut.found == whole.found > 100


def test_a_stream_without_copies_stays_as_it_is(streams):
    copies = Copies()
    assert copies.without(streams["mpeg2"]) + copies.without(b"") == streams["mpeg2"]
    assert copies.found == 0


def test_what_is_no_transport_stream_passes_whole():
    data = random.Random(1).randbytes(300_000)
    copies = Copies()
    assert (
        b"".join([*(copies.without(data[at : at + 7000]) for at in range(0, len(data), 7000)), copies.without(b"")])
        == data
    )
    short = Copies()
    assert short.without(b"FLV\x01") + short.without(b"") == b"FLV\x01"


def test_a_packet_that_says_that_the_counter_begins_anew_is_no_copy(streams):
    before = packets(streams["h264"])
    at = next(n for n, packet in enumerate(before) if packet[3] & 0x30 == 0x30 and packet[4] > 0)
    copy = bytearray(before[at])
    copy[5] |= 0x80
    copies = Copies()
    copies.without(b"".join([*before[: at + 1], bytes(copy), *before[at + 1 :]]))
    assert copies.found == 0


def test_a_source_that_is_dropped_leaves_no_file_open(tmp_path, streams):
    twice = tmp_path / "twice.ts"
    twice.write_bytes(with_copies(streams["h264"], 1.0, random.Random(5)))
    gc.collect()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        source = Source(str(twice))
        source.open()
        assert source._input._file is not None  # it is read through us, not by libav alone
        assert next(source.packets()).size > 0
        del source
        gc.collect()
    assert [str(each.message) for each in told] == []


def test_a_network_source_hands_the_demuxer_none_and_the_watch_all(streams):
    data = with_copies(streams["h264"], 0.5, random.Random(2))

    class Datagrams(TappedBytes):
        def __init__(self):
            super().__init__()
            self.left = data

        def next_bytes(self):
            piece, self.left = self.left[:1316], self.left[1316:]
            return piece

        def close(self):
            self.forget()

    source, read = Datagrams(), bytearray()
    while piece := source.read(32_768):
        read += piece
    copies = Copies()
    assert bytes(read) == copies.without(data) + copies.without(b"")
    seen = b""
    while piece := source.read_until(None):
        seen += piece.data
    assert seen == data


def test_a_file_is_read_from_wherever_it_is_asked(tmp_path, streams):
    path = tmp_path / "twice.ts"
    data = with_copies(streams["h264"], 1.0, random.Random(3))
    path.write_bytes(data)
    file = FileFrom(str(path), 0)
    assert has_copies(file)
    file.seek(0)
    reader = WithoutCopies(file)
    first = reader.read(50_000)
    assert reader.tell() == len(first)
    assert reader.seek(0, 2) == len(data)
    assert reader.seek(188 * 40) == 188 * 40
    there = reader.read(1000)
    assert there[:188] == data[188 * 40 : 188 * 41]
    assert reader.tell() == 188 * 40 + len(there)
    reader.close()
