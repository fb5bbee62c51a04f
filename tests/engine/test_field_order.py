"""Which field a stream says is first, as FFmpeg reads it; and what is told where the pictures say otherwise."""

import re
import subprocess
from fractions import Fraction
from itertools import islice

import av
import pytest
from bitwriter import BitWriter
from media import ffmpeg_exe, media_dir

from engine.decode.field_order import H264FieldOrder, HevcFieldOrder, Mpeg2FieldOrder
from engine.decode.sequence import CodingBlocks, FieldSyntax, FrameNumbers
from engine.decode.software import SoftwareVideoDecoder
from engine.ingest.source import Source
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from models.synthesis.interlaced import plant_field_order, weave, write_interlaced
from models.synthesis.picture import moving_pattern
from models.synthesis.picture_clip import write_pictures

RATE = Fraction(25)
FRAME = 0.04
INTERLACED = ("-flags", "+ilme+ildct")
CODINGS = {
    "H.264, top first": ("tff", ("-c:v", "libx264", *INTERLACED, "-x264opts", "tff=1"), ".mkv"),
    "H.264, bottom first": ("bff", ("-c:v", "libx264", *INTERLACED, "-x264opts", "bff=1"), ".ts"),
    "H.264 with HRD": ("bff", ("-c:v", "libx264", *INTERLACED, "-x264opts",
                       "bff=1:nal-hrd=vbr:vbv-maxrate=2000:vbv-bufsize=2000"), ".ts"),
    "H.264 with no message": ("bff", ("-c:v", "libx264", *INTERLACED, "-x264opts", "bff=1:pic-struct=0"), ".mp4"),
    "MPEG-2, top first": ("tff", ("-c:v", "mpeg2video", *INTERLACED), ".ts"),
    "MPEG-2, bottom first": ("bff", ("-c:v", "mpeg2video", *INTERLACED), ".mpg"),
    "progressive": ("prog", ("-c:v", "libx264"), ".mkv"),
}  # fmt: skip


def declared(path):
    """(interlaced, top field first) of each picture, as our decoder hands them on."""
    source = Source(str(path), stream="clip")
    info = source.open()
    decoder = SoftwareVideoDecoder(info.video, "clip")
    surfaces = []
    for packet in source.packets():
        if packet.track == "video":
            surfaces += decoder.decode(packet)
    surfaces += decoder.flush()
    source.close()
    return [(surface.interlaced, surface.top_field_first) for surface in surfaces]


def said_by_ffmpeg(path):
    """The same by FFmpeg's showinfo: P, T or B of each picture."""
    command = [ffmpeg_exe(), "-v", "info", "-nostats", "-i", str(path), "-an", "-vf", "showinfo", "-f", "null", "-"]
    log = subprocess.run(command, check=False, timeout=120, capture_output=True, text=True, errors="replace").stderr
    return [match[1] for match in re.finditer(r"\bi:([PTB])\b", log)]


def encode(path, order, options, height=576):
    source = f"testsrc2=s=720x{height}:r=25:d=0.5,setfield={order}"
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", source, *options, "-pix_fmt", "yuv420p", str(path)],
        check=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("coding", CODINGS)
def test_the_order_is_the_one_that_ffmpeg_reads(tmp_path, coding):
    order, options, suffix = CODINGS[coding]
    path = tmp_path / f"clip{suffix}"
    encode(path, order, options)
    theirs, ours = said_by_ffmpeg(path), declared(path)
    assert len(ours) == len(theirs) > 5
    assert set(theirs) == {{"tff": "T", "bff": "B", "prog": "P"}[order]}
    said = {"tff": (True, True), "bff": (True, False), "prog": (False, None)}[order]
    assert set(ours) == {said}


@pytest.mark.parametrize("clip", [
    "broken/fuzzcorpus_CAFI1_SVA_480i.264",
    "broken/fate_coolitnow_480i.vob",
    "broken/fate_interlaced_crop_360p-flag.mp4",
    "broken/h264conf_HPCVFL_BRCM_A_cif-fieldcoded.264",
    "real_av/fate_scte20_news-desk_480i.ts",
])  # fmt: skip
def test_the_order_of_real_clips_is_the_one_that_ffmpeg_reads(clip):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    theirs, ours = said_by_ffmpeg(folder / clip), declared(folder / clip)
    assert ["P" if not interlaced else "T" if top else "B" for interlaced, top in ours] == theirs


# QuickTime's `fiel`: fields in two halves of a sample, and in lines; shown as stored, or the other way round.
@pytest.mark.parametrize(("fiel", "top_first"), [(1, True), (6, False), (9, None), (14, None)])
def test_the_container_says_it_of_codecs_that_are_not_read(tmp_path, fiel, top_first):
    path = tmp_path / "clip.mov"
    encode(path, "bff", ("-c:v", "ffvhuff", "-flags", "+ildct", "-t", "0.1"))
    data = path.read_bytes()
    at = data.index(b"fiel\x02") + 5
    path.write_bytes(data[:at] + bytes([fiel]) + data[at + 1 :])
    source = Source(str(path), stream="clip")
    assert source.open().video.top_field_first is top_first
    source.close()


def h264(**options):
    watch = H264FieldOrder()
    watch.read_sps(FrameNumbers(4, False, False, FieldSyntax(**{"frames_only": False, "order_type": 2, **options})))
    return watch


def slice_of(number=1, field=None, bottom_delta=None):
    """The first slice of a picture, not IDR: a frame, or one field of it."""
    bits = BitWriter().ue(0).ue(5).ue(0).u(4, number)
    if field is None:
        bits.u(1, 0)
    else:
        bits.u(1, 1).u(1, field == "bottom")
    if bottom_delta is not None:
        bits.u(4, 0).se(bottom_delta)
    return b"\x41" + bits.trailing()


def test_of_two_field_pictures_the_first_is_first():
    for first, second in (("top", "bottom"), ("bottom", "top")):
        watch = h264()
        found = [watch.read_slice(slice_of(number, field), 1) for number in (1, 2) for field in (first, second)]
        assert found == [first == "top"] * 4


def test_order_counts_come_before_the_message():
    watch = h264(order_type=0, order_bits=4, pic_struct_at=0)
    watch.read_pps(b"\x68" + BitWriter().ue(0).ue(0).u(1, 0).u(1, 1).trailing())
    bottom_first = b"\x06\x01\x01" + BitWriter().u(4, 4).u(4, 0).trailing()
    for delta, top_first in ((1, True), (-1, False)):
        assert watch.read_slice(slice_of(bottom_delta=delta), 1) is top_first
    watch.read_sei(bottom_first)
    assert watch.read_slice(slice_of(bottom_delta=1), 1) is True
    assert watch.read_slice(slice_of(bottom_delta=0), 1) is False


def test_nothing_is_said_where_no_picture_has_fields():
    watch = H264FieldOrder()
    assert watch.read_slice(slice_of(), 1) is None
    watch.read_sps(FrameNumbers(4, False, False, FieldSyntax(pic_struct_at=0)))
    assert watch.read_slice(slice_of(), 1) is None


@pytest.mark.parametrize(("shown", "order"), [(0, None), (1, None), (3, True), (4, False), (5, True), (6, False)])
def test_hevc_says_it_of_frames_that_hold_two_fields(shown, order):
    watch = HevcFieldOrder()
    watch.read_sps(CodingBlocks(12, FieldSyntax(pic_struct_at=0)))
    # Another message first, longer than 255 bytes of type are not.
    message = b"\x4e\x01" + b"\x05\x02\xaa\xbb" + b"\x01\x01" + bytes([shown << 4]) + b"\x80"
    watch.read_sei(message)
    assert watch.read_slice() is order
    assert watch.read_slice() is None  # of the next picture nothing was said


def test_mpeg2_fields_in_packets_of_their_own():
    def picture(structure, top=False):
        head = b"\x00\x00\x01\x00\x00\x0f\xff\xf8" + b"\x00\x00\x01\xb5"
        return head + bytes([0x8F, 0xFF, 0xFC | structure, 0x80 * top, 0x00]) + b"\x00\x00\x01\x01" + bytes(20)

    watch = Mpeg2FieldOrder()
    assert [watch.read(picture(3, top=True)), watch.read(picture(3))] == [True, False]
    assert [watch.read(picture(1)), watch.read(picture(2))] == [True, True]
    assert [watch.read(picture(2)), watch.read(picture(1))] == [False, False]
    assert [watch.read(picture(2) + picture(1)), watch.read(picture(2) + picture(1))] == [False, False]
    assert watch.read(b"") is None
    assert watch.read(picture(3)[:14]) is None


def incidents(path, detectors=("video.field_order",)):
    [outcome] = check([StreamSpec("clip", str(path), {name: {} for name in detectors})], EngineSettings("cpu"))
    assert outcome.error is None
    return outcome.incidents


@pytest.mark.parametrize(("codec", "suffix", "top_first"), [("h264", ".mkv", True), ("mpeg2", ".ts", False)])
def test_fields_in_the_other_order_are_told_from_when_on(tmp_path, codec, suffix, top_first):
    pictures = list(islice(moving_pattern(320, 192), 250))
    path = tmp_path / f"wrong{suffix}"
    planted = plant_field_order(path, pictures, rate=RATE, start=1.0, end=3.0, top_first=top_first, codec=codec)
    [found] = incidents(path, ("video.field_order", "video.combing", "video.tearing"))
    assert found.detector == "video.field_order"
    assert found.start == pytest.approx(planted.start, abs=2 * FRAME + 1e-6)
    assert found.decided_at <= planted.start + 0.5 + 2 * FRAME + 1e-6
    assert found.end == pytest.approx(planted.end, abs=2 * FRAME + 1e-6)


def test_the_order_that_is_said_and_pictures_of_one_moment_are_fine(tmp_path):
    pictures = list(islice(moving_pattern(320, 192), 150))
    write_interlaced(tmp_path / "right.mkv", weave(pictures, top_first=True), rate=RATE, top_first=True)
    write_interlaced(tmp_path / "progressive.mkv", pictures[:75], rate=RATE, top_first=True)
    still = weave([pictures[0], pictures[0]] * 75, top_first=False)
    write_interlaced(tmp_path / "still.mkv", still, rate=RATE, top_first=True)
    assert [len(incidents(tmp_path / f"{name}.mkv")) for name in ("right", "progressive", "still")] == [0, 0, 0]


def test_pictures_that_nobody_calls_interlaced_have_no_order(tmp_path):
    pictures = weave(list(islice(moving_pattern(320, 192), 150)), top_first=False)
    write_interlaced(tmp_path / "marked.mkv", pictures, rate=RATE, top_first=True)
    write_pictures(tmp_path / "unmarked.mkv", iter(pictures), rate=RATE)
    found = {
        name: [i.detector for i in incidents(tmp_path / f"{name}.mkv", ("video.field_order", "video.combing"))]
        for name in ("marked", "unmarked")
    }
    assert found == {"marked": ["video.field_order"], "unmarked": ["video.combing"]}


def test_the_planter_writes_what_it_says(tmp_path):
    pictures = list(islice(moving_pattern(64, 64), 8))
    top, bottom = (weave(pictures, top_first=first) for first in (True, False))
    assert len(top) == 4
    assert (top[1][0][0::2] == pictures[2][0][0::2]).all()
    assert (top[1][0][1::2] == pictures[3][0][1::2]).all()
    assert (bottom[1][0][0::2] == pictures[3][0][0::2]).all()
    write_interlaced(tmp_path / "bff.ts", bottom, rate=RATE, top_first=False, codec="mpeg2")
    with av.open(str(tmp_path / "bff.ts")) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    assert set(said_by_ffmpeg(tmp_path / "bff.ts")) == {"B"}
