"""Slices that are missing are known by where the others begin; ways to cut pictures that change are not damage."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engine.decode.headers import HeaderWatch
from engine.decode.software import SoftwareVideoDecoder
from engine.ingest.source import Source
from models.synthesis.coded_damage import encode, units, write_stream

WIDTH, HEIGHT, COUNT, HIT = 256, 384, 40, 33
CODECS = ("h264", "hevc")


def _pictures() -> list[tuple[np.ndarray, ...]]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    grey = np.full((HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    return [((((x + 3 * n) ^ (y + n)) & 255).astype(np.uint8), grey, grey) for n in range(COUNT)]


@pytest.fixture(scope="module", params=CODECS)
def coded(request: pytest.FixtureRequest) -> tuple[str, list[Any]]:
    """Codec and packets of three or four slices each."""
    return request.param, encode(_pictures(), request.param, Fraction(25), gop_seconds=0.8)


def _without(data: bytes, codec: str, which: int) -> bytes:
    begin, end = units(data, codec)[which]
    return data[:begin] + data[end:]


def _told(codec: str, packets: list[bytes]) -> list[int]:
    watch = HeaderWatch(codec)  # type: ignore[arg-type]
    return [at for at, data in enumerate(packets) if watch.read(data).lacks_slices]


def test_whole_pictures_lack_nothing(coded: tuple[str, list[Any]]) -> None:
    codec, packets = coded
    assert len(units(bytes(packets[HIT]), codec)) > 1
    assert _told(codec, [bytes(packet) for packet in packets]) == []


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_picture_that_lacks_a_slice_is_told(coded: tuple[str, list[Any]], which: int) -> None:
    codec, packets = coded
    data = [bytes(packet) for packet in packets]
    data[HIT] = _without(data[HIT], codec, which)
    assert _told(codec, data) == [HIT]


def test_the_rest_of_a_picture_behind_another_is_told() -> None:
    packets = [bytes(packet) for packet in encode(_pictures(), "hevc", Fraction(25), gop_seconds=0.8)]
    packets[HIT - 1 : HIT + 1] = [packets[HIT - 1] + _without(packets[HIT], "hevc", 0)]
    assert _told("hevc", packets) == [HIT - 1]


def test_packets_of_single_slices_are_no_damage(coded: tuple[str, list[Any]]) -> None:
    codec, packets = coded
    singles = [bytes(packet)[a:b] for packet in packets for a, b in units(bytes(packet), codec)]
    assert _told(codec, singles) == []


def test_a_new_way_to_cut_pictures_is_no_damage_at_a_key_picture(coded: tuple[str, list[Any]]) -> None:
    codec, packets = coded
    data = [bytes(packet) for packet in packets]
    # From a key picture on every picture has one slice less, as if the encoder had begun to cut otherwise.
    key = next(at for at in range(COUNT) if at and packets[at].is_keyframe)
    longer = [*data[:key], *data[:key], *(_without(packet, codec, -1) for packet in data[key:])]
    assert _told(codec, longer) == []


def test_slices_cut_by_size_are_no_damage() -> None:
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.options = {"crf": "30", "preset": "veryfast", "slice-max-size": "1200"}
    packets = []
    rng = np.random.default_rng(1)
    for n, (luma, u, v) in enumerate(_pictures()):
        noise = rng.integers(0, 1 + 8 * (n % 9), luma.shape, np.uint8)  # more of it takes more slices
        picture = (luma // 2 + noise, u, v)
        frame = av.VideoFrame.from_ndarray(np.concatenate([plane.reshape(-1, WIDTH) for plane in picture]), "yuv420p")
        packets += context.encode(frame)
    packets += context.encode(None)
    counts = {len(units(bytes(packet), "h264")) for packet in packets}
    assert len(counts) > 1
    assert _told("h264", [bytes(packet) for packet in packets]) == []


def test_the_decoder_marks_the_picture_of_hevc_that_lacks_a_slice(tmp_path: Path) -> None:
    packets = encode(_pictures(), "hevc", Fraction(25), gop_seconds=0.8)
    hit = packets[HIT]
    copy = av.Packet(_without(bytes(hit), "hevc", 1))
    copy.pts, copy.dts, copy.time_base, copy.is_keyframe = hit.pts, hit.dts, hit.time_base, hit.is_keyframe
    clip = tmp_path / "clip.ts"
    clip.write_bytes(write_stream([*packets[:HIT], copy, *packets[HIT + 1 :]], "hevc", Fraction(25), (WIDTH, HEIGHT)))
    times, marked = [], []
    with Source(str(clip), stream="clip") as source:
        decoder = SoftwareVideoDecoder(source.open().video, "clip")
        for packet in source.packets():
            for surface in decoder.decode(packet):
                times.append(surface.pts)
                marked += [surface.pts] if surface.corrupt else []
    assert [time - min(times) for time in marked] == pytest.approx([hit.pts / 25], abs=1e-3)
    assert decoder.errors == 1
