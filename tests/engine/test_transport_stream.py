"""The packet level of transport streams: what is a fault, what is not, and that no bytes can break the reader."""

import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import ffmpeg_exe

from engine.ingest.splice import parse_splice
from engine.ingest.transport_stream import Fault, Limits, TransportStream, crc32_mpeg
from engine.ingest.ts_framing import find_framing
from models.synthesis.transport import splice_section


def packet(pid, counter, *, payload=b"", start=False, pcr=None, anew=False, damaged=False):
    """One transport packet."""
    head = bytes((0x47, (0x80 if damaged else 0) | (0x40 if start else 0) | pid >> 8, pid & 0xFF))
    field = b""
    if pcr is not None or anew:
        base, extension = divmod(round((pcr or 0.0) * 27_000_000), 300)
        clock = (base << 15 | 0x3F << 9 | extension).to_bytes(6, "big") if pcr is not None else b""
        field = bytes((len(clock) + 1, (0x80 if anew else 0) | (0x10 if pcr is not None else 0))) + clock
    control = 0x30 if field else 0x10
    body = head + bytes((control | counter & 15,)) + field + payload
    return body + b"\xff" * (188 - len(body))


def stream_of(counters, pid=256):
    return b"".join(packet(pid, c) for c in counters)


def faults(data, limits=None, piece=None):
    reader = TransportStream(limits)
    for at in range(0, len(data), piece or max(1, len(data))):
        reader.feed(data[at : at + (piece or len(data))])
    return reader.faults


def kinds(data, **options):
    return [fault.kind for fault in faults(data, **options)]


def test_counters_that_count_have_no_fault():
    assert kinds(stream_of([c % 16 for c in range(100)])) == []


@pytest.mark.parametrize(
    ("counters", "texts"),
    [
        ([0, 1, 2, 4, 5, 6, 7], ["continuity of PID 256: 1 or more packets lost"]),
        ([14, 15, 3, 4, 5, 6, 7], ["continuity of PID 256: 3 or more packets lost"]),
        ([0, 1, 1, 2, 3, 4, 5], []),  # twice is allowed
        ([0, 1, 1, 1, 2, 3, 4], ["continuity of PID 256: a packet came more than twice"]),
        ([5, 4, 5, 6, 7, 8, 9], ["continuity of PID 256: 14 or more packets lost"]),
    ],
)
def test_continuity(counters, texts):
    found = faults(stream_of(counters))
    assert [fault.text for fault in found] == texts


def test_a_fault_is_where_its_packet_is():
    assert faults(stream_of([0, 1, 2, 4, 5, 6])) == [
        Fault(3 * 188, "continuity", 256, "continuity of PID 256: 1 or more packets lost")
    ]


def test_a_discontinuity_that_is_announced_is_none():
    data = stream_of([0, 1, 2]) + packet(256, 9, anew=True) + stream_of([10, 11, 12])
    assert kinds(data) == []


def test_null_packets_do_not_count():
    assert kinds(stream_of([0, 5, 2, 9, 9, 9, 1], pid=0x1FFF)) == []


def test_a_marked_packet_is_a_fault_and_its_header_is_not_believed():
    data = stream_of([0, 1, 2]) + packet(99, 7, damaged=True) + stream_of([3, 4, 5])
    assert kinds(data) == ["transport_error"]


def test_one_wrong_sync_byte_and_lost_sync():
    good = stream_of(range(16)) * 4
    wrong = bytearray(good)
    wrong[20 * 188] = 0
    # The packet cannot be read, so its number is missing too.
    assert kinds(bytes(wrong)) == ["sync", "continuity"]
    assert kinds(good[: 20 * 188 + 50] + good[20 * 188 + 90 :]) == ["sync", "continuity"]


@pytest.mark.parametrize("piece", [1, 100, 188, 1000, 4096])
def test_pieces_of_any_size_say_the_same(piece):
    rng = np.random.default_rng(5)
    data = bytearray(stream_of(range(16)) * 8)
    for at in rng.integers(1000, len(data), 40):
        data[at] ^= 0xFF
    del data[9000:9077]
    assert faults(bytes(data), piece=piece) == faults(bytes(data))


@pytest.mark.parametrize(("lead", "tail"), [(4, 0), (0, 16)])
def test_packets_of_192_and_204_bytes(lead, tail):
    packets = [packet(256, c) for c in (0, 1, 2, 3, 4, 6, 7, 8)]
    assert kinds(b"".join(b"\0" * lead + p + b"\x11" * tail for p in packets)) == ["continuity"]


def clocked(times, every=3):
    """Packets with a PCR each, `every` packets apart."""
    data, counter = b"", 0
    for at in times:
        data += packet(256, counter, pcr=at)
        for _ in range(every - 1):
            counter = counter + 1 & 15
            data += packet(256, counter)
        counter = counter + 1 & 15
    return data


def test_a_steady_clock_has_no_fault():
    assert kinds(clocked([i * 0.04 for i in range(60)])) == []


def test_a_jump_of_the_clock_and_one_that_is_announced():
    times = [i * 0.04 for i in range(30)]
    [fault] = faults(clocked(times + [5.0 + t for t in times]))
    assert (fault.kind, fault.text) == ("pcr", "PCR jumps by 3.840 s")
    announced = clocked(times)[: -3 * 188] + packet(256, 87, pcr=5.0, anew=True)
    assert kinds(announced) == []


def test_the_33_bit_clock_begins_anew_without_a_fault():
    wrap = 2**33 / 90_000
    assert kinds(clocked([(wrap - 1 + i * 0.04) % wrap for i in range(60)])) == []


def test_a_clock_off_its_place_where_the_rate_is_constant():
    times = [i * 0.04 for i in range(60)]
    times[40] += 2e-6
    assert set(kinds(clocked(times))) == {"pcr_jitter"}
    assert kinds(clocked(times), limits=Limits(pcr_jitter_seconds=3e-6)) == []


def test_no_place_is_known_where_the_rate_varies():
    rng = np.random.default_rng(1)
    assert kinds(clocked(np.cumsum(rng.uniform(0.01, 0.06, 100)).tolist())) == []


@pytest.fixture(scope="module")
def constant_rate(tmp_path_factory):
    """Four seconds at constant rate, as ffmpeg multiplexes it."""
    path = tmp_path_factory.mktemp("ts") / "made.ts"
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x96:r=25:d=4", "-f", "lavfi"]
    command += ["-i", "sine=440:d=4:r=48000", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    subprocess.run([*command, "-muxrate", "1500k", "-f", "mpegts", str(path)], check=True, timeout=60)
    return path.read_bytes()


def test_what_ffmpeg_makes_has_no_fault(constant_rate):
    assert faults(constant_rate) == []


def test_a_table_with_a_wrong_checksum(constant_rate):
    data = bytearray(constant_rate)
    pats = [at for at in range(0, len(data), 188) if data[at + 1] & 0x1F == 0 and data[at + 2] == 0]
    data[pats[5] + 14] ^= 1
    assert kinds(bytes(data)) == ["crc"]


def test_tables_that_never_came_often_are_not_missed(constant_rate):
    """An HLS segment has its tables at the start."""
    packets = [constant_rate[at : at + 188] for at in range(0, len(constant_rate), 188)]
    seen = set()
    kept = []
    for one in packets:
        pid = (one[1] & 0x1F) << 8 | one[2]
        if pid in (0, 0x1000):
            if pid in seen:
                continue
            seen.add(pid)
        kept.append(one)
    assert [k for k in kinds(b"".join(kept)) if k in ("pat", "pmt")] == []


def table(kind, number, body):
    """A section: PAT (0) or PMT (2)."""
    head = bytes((kind, 0xB0, len(body) + 9)) + number.to_bytes(2, "big") + bytes((0xC1, 0, 0)) + body
    return b"\0" + head + crc32_mpeg(head).to_bytes(4, "big")


def programme(*entries):
    """PAT and PMT of a programme with these (type, PID, descriptors)."""
    pat = table(0, 1, bytes((0, 1, 0xE0 | 32 >> 8, 32)))
    loop = b"".join(bytes((t, 0xE0 | p >> 8, p & 0xFF, 0xF0, len(d))) + d for t, p, d in entries)
    pmt = table(2, 1, bytes((0xE1, 0x00, 0xF0, 0)) + loop)
    return packet(0, 0, payload=pat, start=True) + packet(32, 0, payload=pmt, start=True)


def scrambled(data, tables=b""):
    """The same packets with a scrambled payload, and others in front."""
    made = bytearray(data)
    for at in range(0, len(made), 188):
        if made[at + 1] & 0x1F:  # PIDs from 256 on
            made[at + 3] |= 0x80
    return tables + bytes(made)


def test_scrambled_packets_want_a_cat_and_nothing_else_in_its_place():
    clear = clocked([i * 0.04 for i in range(60)])
    cat = bytes((1, 0xB0, 9, 0xFF, 0xFF, 0xC1, 0, 0))
    cat += crc32_mpeg(cat).to_bytes(4, "big")
    told = faults(scrambled(clear))
    assert {fault.text for fault in told} == {"scrambled packets without a CAT"}
    assert len(told) == 4  # of 2.36 s, one each half a second
    assert kinds(scrambled(clear, packet(1, 0, payload=b"\0" + cat, start=True))) == []
    other = table(2, 1, b"\xe1\0\xf0\0")
    assert [f.text for f in faults(packet(1, 0, payload=other, start=True) + clear)] == ["table 0x02 in place of a CAT"]


def test_a_scrambling_bit_that_fell_over_wants_no_cat():
    made = bytearray(clocked([i * 0.04 for i in range(60)]))
    for at in range(0, 12 * 188, 188):  # before four PCRs in a row
        made[at + 3] |= 0x40
    assert kinds(bytes(made)) == []


@pytest.mark.parametrize(("tag", "counted"), [(0x56, 3), (0x59, 3), (0x0A, 0)])
def test_packets_of_subtitles_are_counted(tag, counted):
    reader = TransportStream()
    reader.feed(programme((0x1B, 256, b""), (0x06, 300, bytes((tag, 1, 0)))))
    reader.feed(stream_of([0, 1, 2, 3]) + stream_of([0, 1, 2], pid=300) + stream_of([4, 5, 6]))
    assert reader.faults == []
    assert reader.subtitle_packets == counted


def test_a_heartbeat_is_a_message_but_no_marker():
    reader = TransportStream()
    null = bytes.fromhex("fc301100000000000000fffff0000000000000")  # splice_null, without its checksum
    null = null[:2] + bytes((len(null) + 1,)) + null[3:]
    reader.feed(programme((0x1B, 256, b""), (0x86, 300, b"")))
    for counter, section in enumerate((null + crc32_mpeg(null).to_bytes(4, "big"), splice_section(1, out=False))):
        pictures = stream_of([3 * counter + n for n in range(3)])
        reader.feed(packet(300, counter, payload=b"\0" + section, start=True) + pictures)
    assert reader.faults == []
    assert [marker.text for marker in reader.markers] == ["splice_insert in, event 1, immediate"]
    assert reader.splice_position is not None


def test_a_splice_section_says_what_it_marks():
    section = splice_section(7, out=True)
    assert crc32_mpeg(section) == 0
    splice = parse_splice(section)
    assert splice is not None
    assert (splice.idle, splice.text) == (False, "splice_insert out, event 7, immediate")
    # ANSI/SCTE 35, 14.2: the standard's own example of a splice_insert.
    example = bytes.fromhex(
        "fc302f000000000000fffff014054800008f7feffe7369c02efe0052ccf500000000000a0008435545490000013562dba30a"
    )
    assert crc32_mpeg(example) == 0
    splice = parse_splice(example)
    assert splice is not None
    assert splice.text == "splice_insert out, event 1207959695, 60.294 s"
    # 14.1: a time_signal, placement opportunity start.
    example = bytes.fromhex(
        "fc3034000000000000fffff00506fe72bd0050001e021c435545494800008e7fcf0001a599b00808000000002ca0a18a3402009ac9d17e"
    )
    assert crc32_mpeg(example) == 0
    splice = parse_splice(example)
    assert splice is not None
    assert splice.text == "time_signal provider placement opportunity start, event 1207959694"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000), st.integers(1, 700))
def test_no_bytes_make_the_reader_raise(data, piece):
    faults(data, piece=piece)
    parse_splice(data)
    parse_splice(b"\xfc" + data)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 17, 32, 256, 8191]),
            st.integers(0, 15),
            st.binary(max_size=184),
            st.booleans(),
            st.integers(0, 3),
        ),
        min_size=6,
        max_size=40,
    ),
    st.integers(1, 2000),
)
def test_no_packets_make_the_reader_raise(rows, piece):
    data = b""
    for pid, counter, payload, start, control in rows:
        head = bytes((0x47, (0x40 if start else 0) | pid >> 8, pid & 0xFF, control << 4 | counter))
        data += head + payload + b"\xff" * (184 - len(payload))
    faults(data, piece=piece)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.05))
def test_damage_says_the_same_in_any_pieces(constant_rate, seed, share):
    data = np.frombuffer(constant_rate[: 188 * 400], np.uint8).copy()
    rng = np.random.default_rng(seed)
    hit = rng.random(data.shape) < share
    data[hit] = rng.integers(0, 256, int(hit.sum()))
    cut = data[: data.size // 2].tobytes() + data[data.size // 2 + int(share * 4000) :].tobytes()
    assert faults(cut, piece=5000) == faults(cut)


def test_what_is_no_transport_stream_has_no_framing():
    assert find_framing(np.zeros(5000, np.uint8)) is None
    assert find_framing(np.full(3, 0x47, np.uint8)) is None


# -- segments of a playlist


def segmented(*segments, anew=()):
    """The faults of segments; those of the numbers in `anew` come behind a break."""
    ts = TransportStream()
    for number, data in enumerate(segments):
        if number:
            ts.begin_segment(anew=number in anew)
        ts.feed(data)
    return [fault.text for fault in ts.faults]


def segment(tables, pictures, count=12):
    """A segment: one packet of the PAT's PID, then packets of a PID that count on from a number."""
    return stream_of([tables % 16], 0) + stream_of([n % 16 for n in range(pictures, pictures + count)])


LOST = "continuity of PID 256: 2 or more packets lost at a border"


def test_counters_go_on_over_a_border_or_are_lost_there():
    assert segmented(segment(0, 0), segment(1, 12), segment(2, 24)) == []
    assert segmented(segment(0, 0), segment(1, 14), segment(2, 26)) == [LOST]
    assert segmented(segment(0, 0), segment(1, 14), anew={1}) == []
    assert segmented(segment(0, 0), segment(1, 11)) == []  # the last packet once more


def test_segments_that_are_counted_each_for_itself_lose_nothing():
    assert segmented(segment(0, 3), segment(0, 3), segment(0, 3)) == []
    (text,) = segmented(segment(0, 3), segment(0, 3), segment(0, 5))
    assert text.startswith("continuity of PID 256")


def test_what_is_lost_within_a_segment_is_told_behind_a_border_too():
    damaged = segment(1, 12)[: 5 * 188] + segment(1, 12)[7 * 188 :]
    assert segmented(segment(0, 0), damaged, anew={1}) == ["continuity of PID 256: 2 or more packets lost"]


def test_a_segment_that_ends_within_a_packet_is_told_and_the_next_one_is_read():
    assert segmented(segment(0, 0)[:-100], segment(1, 12)) == [
        "a segment ends within a packet",
        "continuity of PID 256: 1 or more packets lost at a border",
    ]
    assert segmented(segment(0, 0)[:-100], segment(1, 12), anew={1}) == []
