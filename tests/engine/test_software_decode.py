"""The software video decoder: times, planes in place, formats, and damage."""

import ctypes
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from made_clips import make, picture
from media import ffmpeg_exe, media_dir

from engine.decode.base import VideoDecoder
from engine.decode.software import SoftwareVideoDecoder, _geometry_of, _upright, has_picture
from engine.errors import DecodeError
from engine.ingest.source import Source
from engine.media import Surface


def decode(path: Path, **options: Any) -> tuple[list[Surface], SoftwareVideoDecoder]:
    with Source(str(path), stream="s") as source:
        info = source.open()
        assert info.video is not None
        decoder = SoftwareVideoDecoder(info.video, "s", **options)
        surfaces: list[Surface] = []
        for packet in source.packets():
            if packet.track == "video":
                surfaces += decoder.decode(packet)
        surfaces += decoder.flush()
        assert source.error is None
        return surfaces, decoder


def plane(surface: Surface, index: int) -> np.ndarray:
    """A copy of a plane, read through the addresses alone."""
    width, height = (surface.width, surface.height) if index == 0 else (surface.chroma_width, surface.chroma_height)
    step = 1 if index == 0 else surface.chroma_step
    pitch = surface.luma_pitch if index == 0 else surface.chroma_pitch
    kind = np.uint8 if surface.bit_depth == 8 else np.uint16
    rows = []
    for row in range(height):
        length = ((width - 1) * step + 1) * np.dtype(kind).itemsize
        rows.append(np.frombuffer(ctypes.string_at(surface.addresses[index] + row * pitch, length), kind)[::step])
    return np.stack(rows) >> surface.shift


def test_every_picture_comes_out_once_at_its_time() -> None:
    surfaces, decoder = decode(make("av.mp4"))
    assert [round(s.pts, 4) for s in surfaces] == [round(i * 0.04, 4) for i in range(50)]
    assert all(s.duration == pytest.approx(0.04) for s in surfaces)
    assert decoder.errors == 0
    assert decoder.name == "software"
    typed: VideoDecoder = decoder
    typed.close()
    typed.close()
    assert not any(s.corrupt for s in surfaces)


@pytest.mark.parametrize("threads", [1, 0])
def test_surfaces_hold_what_libav_decoded(threads: int) -> None:
    path = make("planes.mkv", audio=None, size=(162, 98), seconds=0.4)
    surfaces, _ = decode(path, thread_count=threads)
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="yuv420p") for f in container.decode(video=0)]
    assert len(surfaces) == len(frames) == 10
    for surface, frame in zip(surfaces, frames, strict=True):
        flat = frame.reshape(-1)
        luma, chroma = 162 * 98, 81 * 49
        assert (surface.chroma_width, surface.chroma_height, surface.chroma_step) == (81, 49, 1)
        assert np.array_equal(plane(surface, 0).reshape(-1), flat[:luma])
        assert np.array_equal(plane(surface, 1).reshape(-1), flat[luma : luma + chroma])
        assert np.array_equal(plane(surface, 2).reshape(-1), flat[luma + chroma :])


def test_surfaces_outlive_their_decoder() -> None:
    surfaces, decoder = decode(make("av.mp4"))
    before = plane(surfaces[3], 0)
    decoder.close()
    del decoder
    assert np.array_equal(plane(surfaces[3], 0), before)


@pytest.mark.parametrize(
    ("pixel_format", "depth", "chroma", "full_range"),
    [
        ("yuv420p", 8, (80, 48), False),
        ("yuv422p", 8, (80, 96), False),
        ("yuv444p", 8, (160, 96), False),
        ("yuv420p10le", 10, (80, 48), False),
        ("yuv422p10le", 10, (80, 96), False),
        ("gray", 8, (0, 0), False),
    ],
)
def test_planar_formats_are_read_in_place(
    pixel_format: str, depth: int, chroma: tuple[int, int], full_range: bool
) -> None:
    path = make(f"{pixel_format}.mkv", video="ffv1", pixel_format=pixel_format, audio=None, seconds=0.2)
    surfaces, _ = decode(path)
    first = surfaces[0]
    assert (first.bit_depth, first.chroma_width, first.chroma_height) == (depth, *chroma)
    assert first.shift == 0
    assert first.owner.format.name == pixel_format
    expected = av.VideoFrame.from_ndarray(picture(0, 160, 96), format="rgb24").reformat(format=pixel_format)
    kind = np.uint8 if depth == 8 else np.uint16
    rows = np.frombuffer(memoryview(expected.planes[0]), kind).reshape(96, -1)[:, :160]
    assert np.array_equal(plane(first, 0), rows)


def frame_of(pixel_format: str) -> Any:
    return av.VideoFrame.from_ndarray(picture(0, 32, 16), format="rgb24").reformat(format=pixel_format)


@pytest.mark.parametrize(
    ("pixel_format", "target"),
    [
        ("rgb24", "yuv444p"),
        ("gbrp10le", "yuv444p10le"),
        ("pal8", "yuv444p"),
        ("yuva420p", "yuv420p"),
        ("yuyv422", "yuv422p"),
        ("yuv420p10be", "yuv420p10le"),
        ("nv21", "yuv420p"),
        ("gray16be", "gray16le"),
        ("monob", "gray"),
        ("nv12", None),
        ("p010le", None),
        ("yuvj420p", None),
        ("yuv410p", None),
    ],
)
def test_what_each_format_is_brought_into(pixel_format: str, target: str | None) -> None:
    assert _geometry_of(av.VideoFormat(pixel_format, 32, 16)).convert == target


def test_interleaved_chroma_and_high_aligned_samples() -> None:
    nv12 = _geometry_of(av.VideoFormat("nv12", 32, 16))
    assert (nv12.planes, nv12.chroma_step, nv12.chroma_width, nv12.shift) == (2, 2, 16, 0)
    p010 = _geometry_of(av.VideoFormat("p010le", 32, 16))
    assert (p010.bit_depth, p010.shift, p010.chroma_step) == (10, 6, 2)
    assert _geometry_of(av.VideoFormat("yuvj422p", 32, 16)).full_range


def test_rgb_is_judged_in_studio_range() -> None:
    surfaces, _ = decode(make("rgb.mkv", video="ffv1", pixel_format="bgr0", audio=None, seconds=0.2))
    first = surfaces[0]
    assert (first.bit_depth, first.chroma_width, first.full_range, first.matrix) == (8, 160, False, 6)
    luma = plane(first, 0)
    assert luma.min() >= 16
    assert luma.max() <= 235


def test_pictures_stored_upside_down_are_turned() -> None:
    frame = frame_of("yuv420p")
    rows = [np.frombuffer(memoryview(p), np.uint8).reshape(p.height, p.line_size) for p in frame.planes]

    class Plane(np.ndarray):
        """A plane whose rows lie from bottom to top, as libav describes it: a negative line size."""

        height: int
        line_size: int

    planes = []
    for source in rows:
        flipped = np.ascontiguousarray(source[::-1]).view(Plane)
        flipped.height, flipped.line_size = source.shape[0], -source.shape[1]
        planes.append(flipped)
    frame = SimpleNamespace(width=32, height=16, format=frame.format, planes=planes)
    upright = _upright(frame)
    for made, wanted in zip(upright.planes, rows, strict=True):
        assert np.array_equal(np.frombuffer(memoryview(made), np.uint8).reshape(made.height, -1), wanted)


def test_a_change_of_size_goes_on_with_the_new_geometry(tmp_path: Path) -> None:
    large = make("large.m2v", video="mpeg2video", audio=None, size=(160, 96), seconds=0.4)
    small = make("small.m2v", video="mpeg2video", audio=None, size=(96, 64), seconds=0.4)
    joined = tmp_path / "joined.m2v"
    joined.write_bytes(large.read_bytes() + small.read_bytes())
    surfaces, _ = decode(joined)
    sizes = [(s.width, s.height) for s in surfaces]
    # libav's MPEG-2 decoder loses the picture that it holds back when the size changes; so does the ffmpeg program.
    assert sizes == [(160, 96)] * 9 + [(96, 64)] * 10
    times = [s.pts for s in surfaces]
    assert times == sorted(times)


def test_damage_is_counted_and_decoding_goes_on(tmp_path: Path) -> None:
    data = bytearray(make("whole.ts", video="mpeg2video", audio="mp2").read_bytes())
    rng = np.random.default_rng(3)
    for at in rng.integers(len(data) // 3, len(data) * 2 // 3, 60):
        data[at] ^= 0xFF
    broken = tmp_path / "broken.ts"
    broken.write_bytes(data)
    surfaces, decoder = decode(broken)
    assert decoder.errors > 0
    assert any(s.corrupt for s in surfaces)
    assert len(surfaces) > 40
    assert not any(s.corrupt for s in surfaces[:10])


def test_a_clean_stream_that_starts_in_the_middle_of_a_group_counts_no_error(tmp_path: Path) -> None:
    whole = make("whole.ts", video="mpeg2video", audio="mp2").read_bytes()
    start = len(whole) // 3 // 188 * 188
    late = tmp_path / "late.ts"
    late.write_bytes(whole[: 188 * 3] + whole[start:])
    surfaces, decoder = decode(late)
    assert len(surfaces) > 20
    assert sum(s.corrupt for s in surfaces) <= 1
    assert decoder.errors <= 2


def test_a_lost_h264_picture_is_counted_though_all_others_decode() -> None:
    clip = make("lost.mp4", video="libx264", audio=None, options=(("movflags", "faststart"),))
    with Source(str(clip), stream="lost") as source:
        info = source.open()
        assert info.video is not None
        decoder = SoftwareVideoDecoder(info.video, "lost")
        packets = [packet for packet in source.packets() if packet.track == "video"]
        references = [n for n, packet in enumerate(packets) if not packet.key and bytes(packet.payload)[4] & 0x60]
        lost = references[len(references) // 2]
        for n, packet in enumerate(packets):
            if n != lost:
                decoder.decode(packet)
        decoder.flush()
    assert decoder.errors == 1


def test_too_large_pictures_are_refused() -> None:
    source = Source(str(make("av.mp4")))
    info = source.open()
    assert info.video is not None
    with pytest.raises(DecodeError, match="resolution over limit: 160x96"):
        SoftwareVideoDecoder(info.video, "s", max_pixels=10_000)


def test_decoding_goes_on_after_a_flush() -> None:
    source = Source(str(make("av.mp4")))
    info = source.open()
    assert info.video is not None
    decoder = SoftwareVideoDecoder(info.video, "s")
    packets = [p for p in source.packets() if p.track == "video"]
    first = [s for p in packets for s in decoder.decode(p)] + decoder.flush()
    again = [s for p in packets for s in decoder.decode(p)] + decoder.flush()
    assert len(first) == len(again) == 50


def test_packets_of_messages_alone_are_no_damage() -> None:
    sei = bytes.fromhex("00000003060102")
    slice_ = bytes.fromhex("000000036501020000000341ff00")
    assert not has_picture("h264", None, sei)
    assert has_picture("h264", None, slice_)
    assert has_picture("h264", None, slice_[:-1])
    assert not has_picture("h264", None, b"\0\0\0\1\x06\x01\0\0\1\x67\x42")
    assert has_picture("h264", None, b"\0\0\1\x09\xf0\0\0\1\x41\x9a")
    assert not has_picture("hevc", None, b"\0\0\0\1\x4e\x01\x05\0\0\1\x40\x01")
    assert has_picture("hevc", None, b"\0\0\0\1\x26\x01\xaf\x08")
    assert has_picture("vp9", None, b"whatever")


# Its one complete group of pictures is damaged; how many come out depends on how libav spreads them over threads.
_UNSTABLE = {"tsduck_test-026_news_1080i25_eac3.ts"}
# Long or slow ones, whose kind is there in a shorter clip.
_LONG = {
    "intel_one-by-one-person_432p10.mp4",
    "latentsync_demo2_1080x1920_hevc.mp4",
    "latentsync_demo3_1080x1920_hevc.mp4",
}


def real_clips() -> list[Path]:
    folder = media_dir()
    if folder is None:
        return []
    found = sorted(p for sub in ("real_av", "broken", "known_answer") for p in (folder / sub).iterdir())
    return [p for p in found if p.name not in _UNSTABLE | _LONG and p.suffix not in (".flac", ".wav", ".tta")]


def ffmpeg_times(path: Path, tracks: list[int]) -> list[float]:
    maps = [word for index in tracks for word in ("-map", f"0:{index}")]
    command = [ffmpeg_exe(), "-hide_banner", "-nostdin", "-threads", "1", "-i", str(path), *maps]
    command += ["-vf", "showinfo", "-fps_mode", "passthrough", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False).stderr
    return [float(found) for found in re.findall(r"Parsed_showinfo.*? pts_time:\s*(-?[\d.e+-]+)", told)]


@pytest.mark.slow
@pytest.mark.parametrize("path", real_clips(), ids=lambda p: p.name)
def test_real_pictures_come_at_the_times_of_the_ffmpeg_program(path: Path) -> None:
    with Source(str(path)) as source:
        info = source.open()
        tracks = [t.handle.index for t in (info.video, info.audio) if t is not None]
    surfaces, _ = decode(path)
    expected = ffmpeg_times(path, tracks)
    assert len(surfaces) == len(expected)
    assert max(abs(s.pts - t) for s, t in zip(surfaces, expected, strict=True)) < 0.002


@pytest.mark.parametrize(
    ("name", "corrupt", "errors"),
    [
        ("fate_attachment631_concert_paff.mp4", 0, 0),
        ("openh264_BA_MW_D_pristine.264", 0, 0),
        ("openh264_BA_MW_D_P_LOST.264", 0, 1),  # no mark, but a gap in the picture numbers
        ("fuzzcorpus_ww2.deblock.264", 23, 23),
        ("fuzzcorpus_H264_bad_decoding.264", 11, 15),  # four gaps besides
        ("fate_empty_edit_5s.mp4", 29, 29),
        ("decord_corrupted_testsrc_720p10.mp4", 2, 3),  # one of which follows a gap
    ],
)
def test_real_damage_is_seen(media: Path, name: str, corrupt: int, errors: int) -> None:
    surfaces, decoder = decode(media / "broken" / name)
    assert sum(s.corrupt for s in surfaces) == corrupt
    assert decoder.errors == errors
