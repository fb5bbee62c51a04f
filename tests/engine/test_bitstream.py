"""Headers of elementary streams: what they say, where pictures begin, and what is damaged or missing."""

from pathlib import Path

import pytest
from bitwriter import BitWriter, annex_b, h264_slice, h264_sps, hevc_sps
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decode.header_bits import Bits, OutOfBits
from engine.decode.headers import HeaderWatch
from engine.decode.length_prefixed import LengthPrefixed
from engine.decode.nal import nal_units, split_access_units, unescape
from engine.decode.sequence import parse_sps
from engine.errors import DecodeError

CLIPS = Path(__file__).parents[1] / "clips"


@pytest.mark.parametrize(
    ("name", "codec", "size", "depth", "rate", "pictures", "keys"),
    [
        ("h264_320x180_8bit.h264", "h264", (320, 180), 8, 25.0, 50, 2),
        ("h264_640x360_8bit.h264", "h264", (640, 360), 8, 25.0, 25, 1),
        ("h264_1920x1080_8bit.h264", "h264", (1920, 1080), 8, 30.0, 20, 1),
        ("hevc_320x180_8bit.hevc", "hevc", (320, 180), 8, 25.0, 25, 1),
        ("hevc_320x180_10bit.hevc", "hevc", (320, 180), 10, 25.0, 25, 1),
    ],
)
def test_encoders_streams_are_read_and_cut_into_pictures(name, codec, size, depth, rate, pictures, keys):
    data = (CLIPS / name).read_bytes()
    units = split_access_units(data, codec)
    assert b"".join(unit.data for unit in units) == data
    assert len(units) == pictures
    assert sum(unit.key for unit in units) == keys
    watch = HeaderWatch(codec)
    assert sum(watch.read(unit.data).damage for unit in units) == 0
    fmt = watch.format
    assert (fmt.width, fmt.height) == size
    assert (fmt.bit_depth, fmt.chroma_bit_depth, fmt.chroma, fmt.interlaced) == (depth, depth, 1, False)
    assert fmt.frame_rate == rate


even = st.integers(8, 2048).map(lambda n: 2 * n)


@given(
    width=even,
    height=even.map(lambda n: n // 4 * 4),
    profile=st.sampled_from([66, 77, 100, 110, 122, 244]),
    chroma=st.sampled_from([0, 1, 2, 3]),
    depth=st.sampled_from([8, 9, 10, 12]),
    frames_only=st.booleans(),
    full_range=st.sampled_from([None, False, True]),
    matrix=st.sampled_from([None, 1, 5, 9]),
    rate=st.sampled_from([None, 25, 60]),
    scaling=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_any_h264_header_gives_back_what_was_written(
    width, height, profile, chroma, depth, frames_only, full_range, matrix, rate, scaling
):
    if profile < 100:
        chroma, depth = 1, 8
    fmt = parse_sps(
        h264_sps(
            width,
            height,
            profile=profile,
            chroma=chroma,
            bit_depth=depth,
            frames_only=frames_only,
            full_range=full_range,
            matrix=matrix,
            rate=rate,
            scaling=scaling and profile >= 100,
        ),
        "h264",
    )
    assert (fmt.width, fmt.height, fmt.left, fmt.top) == (width, height, 0, 0)
    assert (fmt.profile, fmt.chroma, fmt.bit_depth) == (profile, chroma, depth)
    assert fmt.interlaced is not frames_only
    assert fmt.full_range is bool(full_range)
    assert fmt.matrix == (2 if matrix is None else matrix)
    assert fmt.frame_rate == rate


@given(
    width=even,
    height=even,
    depth=st.sampled_from([8, 10, 12]),
    sub_layers=st.integers(0, 6),
    sets=st.lists(
        st.one_of(
            st.tuples(
                st.just("own"),
                st.lists(st.integers(1, 8), max_size=4, unique=True).map(lambda x: [-d for d in sorted(x)]),
                st.lists(st.integers(1, 8), max_size=4, unique=True).map(sorted),
            ),
            st.tuples(st.just("from"), st.integers(-5, 5).filter(bool)),
        ),
        max_size=6,
    ),
    fields=st.booleans(),
    matrix=st.sampled_from([None, 9]),
    rate=st.sampled_from([None, 50]),
)
@settings(max_examples=150, deadline=None)
def test_any_hevc_header_gives_back_what_was_written(width, height, depth, sub_layers, sets, fields, matrix, rate):
    if sets and sets[0][0] == "from":
        sets[0] = ("own", [-1], [])
    fmt = parse_sps(
        hevc_sps(
            width, height, bit_depth=depth, sub_layers=sub_layers, sets=sets, fields=fields, matrix=matrix, rate=rate
        ),
        "hevc",
    )
    assert (fmt.width, fmt.height, fmt.bit_depth, fmt.interlaced) == (width, height, depth, fields)
    assert fmt.matrix == (2 if matrix is None else matrix)
    assert fmt.frame_rate == rate


@given(data=st.binary(max_size=200), codec=st.sampled_from(["h264", "hevc"]))
@settings(max_examples=300, deadline=None)
def test_random_bytes_are_damage_and_never_a_crash(data, codec):
    framed = annex_b((b"\x67" if codec == "h264" else b"\x42\x01") + data)
    watch = HeaderWatch(codec)
    headers = watch.read(framed)
    assert (headers.format is not None) == headers.has_parameter_sets
    split_access_units(framed, codec)
    for begin, end in nal_units(data):
        assert 0 < begin < end <= len(data)
        assert data[begin - 3 : begin] == b"\x00\x00\x01"


def test_cut_off_header_is_an_error_that_says_so():
    with pytest.raises(DecodeError, match="ends after 6 bytes"):
        parse_sps(h264_sps(320, 180)[:6], "h264")


def test_damaged_header_is_counted_and_the_old_format_stays():
    watch = HeaderWatch("h264")
    good = watch.read(annex_b(h264_sps(320, 180), h264_slice(0, idr=True)))
    bad = watch.read(annex_b(h264_sps(640, 360)[:5], h264_slice(1)))
    forbidden = watch.read(annex_b(b"\xe7\x00"))
    assert (good.damage, bad.damage, forbidden.damage) == (0, 1, 1)
    assert (watch.format.width, watch.format.height) == (320, 180)


def test_change_of_size_and_depth_is_seen_in_the_packet_that_brings_it():
    watch = HeaderWatch("hevc")
    seen = []
    for size, depth in [((320, 180), 8), ((640, 360), 8), ((640, 360), 10)]:
        headers = watch.read(annex_b(hevc_sps(*size, bit_depth=depth), b"\x26\x01\xff"))
        seen.append((headers.format.width, headers.format.bit_depth, headers.key))
    assert seen == [(320, 8, True), (640, 8, True), (640, 10, True)]


def test_gap_in_frame_numbers_counts_once_and_legal_steps_never():
    def count(numbers, **sps):
        watch = HeaderWatch("h264")
        watch.read(annex_b(h264_sps(320, 180, number_bits=4, **sps)))
        return [
            watch.read(annex_b(h264_slice(n, idr=idr, reference=reference, number_bits=4))).damage
            for n, idr, reference in numbers
        ]

    step = [(n % 16, n == 0, True) for n in range(40)]  # wraps at 16
    assert count(step) == [0] * 40
    assert count([step[0], step[1], step[3], step[4]]) == [0, 0, 1, 0]
    assert count([step[0], step[1], step[3], step[4]], gaps=True) == [0, 0, 0, 0]
    # B pictures that are no reference carry the next number without taking it.
    assert (
        count([(0, True, True), (1, False, False), (1, False, False), (1, False, True), (2, False, False)]) == [0] * 5
    )
    # A key picture begins anew.
    assert count([(0, True, True), (1, False, True), (0, True, True), (1, False, True)]) == [0] * 4


def test_latest_parameter_sets_are_kept_by_their_ids():
    watch = HeaderWatch("h264")
    pps = [b"\x68" + bytes([0x80]), b"\x68" + bytes([0x40])]  # ids 0 and 1
    watch.read(annex_b(h264_sps(320, 180), *pps))
    watch.read(annex_b(h264_sps(640, 360)))
    assert watch.parameter_sets() == annex_b(h264_sps(640, 360), *pps)


def test_emulation_prevention_does_not_reach_the_numbers():
    nal = h264_sps(4096, 16, rate=1)
    assert b"\x00\x00\x03" in nal
    assert parse_sps(nal, "h264").frame_rate == 1


@pytest.mark.parametrize("length", [1, 2, 4])
def test_length_prefixed_packets_become_start_codes(length):
    sps, pps = h264_sps(320, 180), b"\x68\xee"
    record = b"\x01\x64\x00\x28" + bytes([0xFC | (length - 1)]) + b"\xe1"
    record += len(sps).to_bytes(2, "big") + sps + b"\x01" + len(pps).to_bytes(2, "big") + pps
    lengths = LengthPrefixed.of(record, "h264")
    assert lengths.parameter_sets == annex_b(sps, pps)
    packet = b"".join(len(nal).to_bytes(length, "big") + nal for nal in (b"\x06\x01", b"\x65\x88\x84"))
    assert lengths.to_annex_b(packet) == annex_b(b"\x06\x01", b"\x65\x88\x84")
    assert lengths.to_annex_b(packet[:-1]) is None
    assert LengthPrefixed.of(annex_b(sps, pps), "h264") is None
    with pytest.raises(DecodeError, match="record ends"):
        LengthPrefixed.of(record[:-1], "h264")


def test_hevc_record_gives_its_three_parameter_sets():
    nals = [b"\x40\x01\x0c", hevc_sps(320, 180), b"\x44\x01\xc1"]
    record = b"\x01" + bytes(20) + b"\xff\x03"
    for kind, nal in zip((32, 33, 34), nals, strict=True):
        record += bytes([kind]) + b"\x00\x01" + len(nal).to_bytes(2, "big") + nal
    lengths = LengthPrefixed.of(record, "hevc")
    assert (lengths.length_bytes, lengths.parameter_sets) == (4, annex_b(*nals))


@pytest.mark.parametrize("name", ["h264_320x180_8bit.h264", "hevc_320x180_8bit.hevc"])
def test_mp4_packets_turned_into_annex_b_decode_to_the_same_pictures(name, tmp_path):
    av = pytest.importorskip("av")
    codec = name.partition("_")[0]
    path = tmp_path / "clip.mp4"
    with av.open(str(CLIPS / name)) as source, av.open(str(path), "w") as target:
        out = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.stream, packet.pts, packet.dts = out, None, number
                packet.pts = number
                target.mux(packet)
    watch = HeaderWatch(codec)
    stream = b""
    with av.open(str(path)) as container:
        lengths = LengthPrefixed.of(bytes(container.streams.video[0].codec_context.extradata), codec)
        assert lengths is not None
        watch.read(lengths.parameter_sets)
        for packet in container.demux(video=0):
            data = lengths.to_annex_b(bytes(packet)) if packet.size else b""
            assert watch.read(data).damage == 0
            stream += (watch.parameter_sets() if packet.is_keyframe else b"") + data
    assert (watch.format.width, watch.format.height) == (320, 180)
    again = tmp_path / f"again.{codec}"
    again.write_bytes(stream)
    pictures = []
    for file in (CLIPS / name, again):
        with av.open(str(file)) as container:
            pictures.append([frame.to_ndarray().tobytes() for frame in container.decode(video=0)])
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) >= 25


def plainly_found(data):
    """What `nal_units` promises, byte by byte."""
    starts = [at for at in range(len(data) - 2) if data[at : at + 3] == b"\x00\x00\x01"]
    ends = [*starts[1:], len(data)][: len(starts)]
    units = [
        (start + 3, start + 3 + len(data[start + 3 : end].rstrip(b"\x00")))
        for start, end in zip(starts, ends, strict=True)
    ]
    return [(begin, end) for begin, end in units if end > begin]


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from([b"\x00", b"\x01", b"\xff", b"\x00\x00\x01\x65"]))))
@settings(max_examples=60, deadline=None)
def test_units_are_found_behind_slices_of_any_length(pieces):
    data = b"".join(b"\xaa" * length + piece for length, piece in pieces)
    assert list(nal_units(data)) == plainly_found(data)


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_exponential_codes_come_back_and_their_end_is_seen(numbers):
    writer = BitWriter()
    for number in numbers:
        writer.ue(number)
    bits = Bits(unescape(writer.trailing()))
    assert [bits.ue() for _ in numbers] == numbers
    try:
        bits.ue()  # the closing bit
    except OutOfBits:
        return
    with pytest.raises(OutOfBits):
        bits.ue()


def test_a_sequence_header_that_comes_again_after_another_one_holds_again():
    watch = HeaderWatch("h264")
    small, large = annex_b(h264_sps(320, 180)), annex_b(h264_sps(640, 360))
    widths = []
    for data in (small, small, large, small, large, large):
        headers = watch.read(data)
        assert headers.has_parameter_sets
        widths.append(headers.format.width)
    assert widths == [320, 320, 640, 320, 640, 640]
