"""Damage by real means: a clip is encoded, coded pictures lose or change bytes, and a decoder conceals what it can.

What is seen of it depends on the decoder, so the truth is found by decoding the stream twice, whole and damaged, and
comparing the pictures tile by tile. The bytes are the same for the same seed; what libav shows in place of a slice that
HEVC lost is what the buffer held before, which may differ from run to run.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from models.synthesis.picture import Picture
from models.synthesis.picture_clip import frame_of
from models.synthesis.planted import Planted

CODECS: Final = ("h264", "mpeg2", "hevc")
KINDS: Final = ("flip", "cut", "slice", "lost")
TILE: Final = 16
# A tile whose mean absolute error reaches this many 8-bit codes is damaged: 24 dB and less. Concealment that came out
# better than that is not seen.
VISIBLE_ERROR: Final = 12.0
# A picture is visibly damaged from this share of its tiles on.
VISIBLE_SHARE: Final = 0.01

_ENCODERS: Final[Mapping[str, tuple[str, dict[str, str]]]] = {
    "h264": ("libx264", {"crf": "23", "preset": "veryfast", "slices": "4"}),
    "mpeg2": ("mpeg2video", {}),
    "hevc": ("libx265", {"crf": "26", "preset": "ultrafast", "x265-params": "log-level=none:slices=3:open-gop=0"}),
}
_NAMES: Final[Mapping[str, str]] = {"h264": "h264", "mpeg2": "mpeg2video", "hevc": "hevc"}
# Bits per sample of the picture for the encoder that has no constant quality.
_MPEG2_BITS: Final = 0.35
_START: Final = b"\0\0\1"


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What a damaged stream shows.

    Args:
        times: (n,) seconds of each decoded picture.
        share: (n,) share of its tiles that are damaged.
        tiles: of each picture, (rows, columns) bool: its damaged tiles of TILE samples.
        flagged: (n,) whether the decoder says that the picture is damaged.
    """

    times: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]
    tiles: list[npt.NDArray[np.bool_]]
    flagged: npt.NDArray[np.bool_]


def encode(
    pictures: Sequence[Picture], codec: str, rate: Fraction, gop_seconds: float = 1.0,
    coder: Mapping[str, str] | None = None,
) -> list[Any]:  # fmt: skip
    """Coded 8-bit pictures, as packets of an elementary stream.

    Args:
        pictures: 4:2:0, of one shape, even width and height.
        codec: one of CODECS.
        rate: pictures per second.
        gop_seconds: from one key frame to the next.
        coder: options of the encoder that take the place of the usual ones.
    """
    height, width = pictures[0][0].shape
    name, options = _ENCODERS[codec]
    options = {**options, **(coder or {})}
    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base = rate, 1 / rate
    context.gop_size, context.max_b_frames, context.thread_count = round(gop_seconds * rate), 2, 1
    context.options = options
    if codec == "mpeg2":
        context.bit_rate = round(_MPEG2_BITS * width * height * float(rate))
    packets = []
    for index, picture in enumerate(pictures):
        frame = frame_of(picture)
        frame.pts, frame.time_base = index, 1 / rate
        packets += context.encode(frame)
    return packets + list(context.encode(None))


def write_stream(packets: Sequence[Any], codec: str, rate: Fraction, size: tuple[int, int]) -> bytes:
    """The packets as an MPEG transport stream."""
    buffer = io.BytesIO()
    opened: Any = av.open(buffer, "w", format="mpegts")
    with opened as container:
        stream = container.add_mux_stream(_NAMES[codec], rate=rate, width=size[0], height=size[1])
        stream.time_base = 1 / rate
        for packet in packets:
            copy = av.Packet(bytes(packet))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.stream, copy.is_keyframe = stream, packet.is_keyframe
            container.mux(copy)
    return buffer.getvalue()


def units(data: bytes, codec: str) -> list[tuple[int, int]]:
    """Where each slice of a coded picture lies: offsets of its start code and of what follows it."""
    starts = []
    at = data.find(_START)
    while at >= 0:
        starts.append(at)
        at = data.find(_START, at + 3)
    found = []
    for start, end in zip(starts, [*starts[1:], len(data)], strict=True):
        head = data[start + 3]
        if codec == "mpeg2":
            slices = 1 <= head <= 0xAF
        elif codec == "h264":
            slices = head & 31 in (1, 5)
        else:
            slices = (head >> 1 & 63) < 32
        if slices:
            found.append((start, end))
    return found


def damage(data: bytes, codec: str, kind: str, strength: float, rng: np.random.Generator) -> bytes | None:
    """One coded picture, damaged.

    Args:
        data: the packet.
        codec: one of CODECS.
        kind: "flip" changes bytes, "cut" takes a run of bytes out as lost transport packets do, "slice" takes out
            whole slices (of an MPEG-2 picture: as many of its rows as its share), "lost" takes the whole picture.
        strength: share of the picture that is hit, 0 to 1.
        rng: chooses the places.
    Returns: None if nothing is left.
    """
    slices = units(data, codec)
    if kind == "lost" or not slices:
        return None
    if kind == "slice":
        count = min(len(slices), max(1, round(strength * len(slices))))
        first = int(rng.integers(0, len(slices) - count + 1))
        kept = bytearray(data[: slices[first][0]])
        return bytes(kept + data[slices[first + count - 1][1] :])
    begin, end = slices[0][0] + 12, slices[-1][1]  # past the first slice's header
    if end - begin < 16:
        return None
    spoilt = bytearray(data)
    if kind == "flip":
        for _ in range(max(1, round(strength * 40))):
            spoilt[int(rng.integers(begin, end))] ^= int(rng.integers(1, 256))
        return bytes(spoilt)
    size = max(8, min(end - begin - 8, round(strength * (end - begin))))
    at = int(rng.integers(begin, end - size))
    del spoilt[at : at + size]
    return bytes(spoilt)


def decoded(stream: bytes) -> Iterator[tuple[float, npt.NDArray[np.uint8], bool]]:
    """Time, luma and the decoder's own opinion of every picture, decoded as the engine does."""
    opened: Any = av.open(io.BytesIO(stream), format="mpegts")
    with opened as container:
        track = container.streams.video[0]
        track.codec_context.thread_count = 1
        track.codec_context.thread_type = "SLICE"
        zero = None
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                seconds = float(frame.pts * track.time_base)
                zero = seconds if zero is None else zero
                plane = frame.planes[0]
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                yield seconds, rows[:, : plane.width].copy(), frame.is_corrupt


def tile_errors(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(rows, columns): mean absolute error of each tile of TILE samples; what is beyond the last whole one is left."""
    apart = np.abs(a.astype(np.int16) - b.astype(np.int16))
    rows, columns = apart.shape[0] // TILE, apart.shape[1] // TILE
    tiles = apart[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE)
    means: npt.NDArray[np.float64] = tiles.mean(axis=(1, 3))
    return means


def compare(whole: bytes, spoilt: bytes) -> Truth:
    """What a decoder makes of the damaged stream, beside what it makes of the whole one."""
    clean = {round(time, 4): luma for time, luma, _ in decoded(whole)}
    first = min(clean)
    times, share, tiles, flagged = [], [], [], []
    for time, luma, corrupt in decoded(spoilt):
        beside = clean.get(round(time, 4))
        if beside is None:
            continue
        bad = tile_errors(luma, beside) >= VISIBLE_ERROR
        times.append(time - first)
        share.append(float(bad.mean()))
        tiles.append(bad)
        flagged.append(corrupt)
    return Truth(np.array(times), np.array(share), tiles, np.array(flagged))


def damage_stream(
    pictures: Sequence[Picture], codec: str, kind: str, *, rate: Fraction, start: float, end: float, strength: float,
    seed: int = 0, every: float = 0.4, gop_seconds: float = 1.0, coder: Mapping[str, str] | None = None,
) -> tuple[bytes, bytes]:  # fmt: skip
    """The stream as it is, and with damage in some of the pictures from `start` on and before `end`.

    Args:
        pictures: of the clip, 8 bit.
        codec: one of CODECS.
        kind: one of KINDS; "lost" takes pictures that others refer to.
        rate: pictures per second.
        start, end: media seconds.
        strength: see `damage`.
        seed: of what is random.
        every: seconds from one damaged picture to the next.
        gop_seconds, coder: see `encode`.
    """
    rng = np.random.default_rng((seed, CODECS.index(codec), KINDS.index(kind)))
    packets = encode(pictures, codec, rate, gop_seconds, coder)
    height, width = pictures[0][0].shape
    spoilt = []
    due = start
    for packet in packets:
        seconds = float((packet.pts or 0) * packet.time_base)
        # A picture that none refers to is gone after one frame; its size gives it away well enough.
        if due <= seconds < end and not (packet.is_keyframe and kind == "lost") and not packet.is_disposable:
            left = damage(bytes(packet), codec, kind, strength, rng)
            due = seconds + every
            if left is None:
                continue
            copy = av.Packet(left)
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe = packet.is_keyframe
            spoilt.append(copy)
        else:
            spoilt.append(packet)
    size = (width, height)
    return write_stream(packets, codec, rate, size), write_stream(spoilt, codec, rate, size)


def plant_damage(
    target: Path, codec: str, kind: str, pictures: Sequence[Picture], *, rate: Fraction, start: float, end: float,
    strength: float, seed: int = 0,
) -> Planted | None:  # fmt: skip
    """Write a damaged stream to a file.

    Returns: the ground truth, from the first picture that is visibly damaged to the first one after the last of them;
        None where nothing of it can be seen.
    """
    whole, spoilt = damage_stream(pictures, codec, kind, rate=rate, start=start, end=end, strength=strength, seed=seed)
    target.write_bytes(spoilt)
    truth = compare(whole, spoilt)
    bad = np.flatnonzero(truth.share >= VISIBLE_SHARE)
    if not len(bad):
        return None
    until = float(truth.times[bad[-1]] + 1 / rate)
    return Planted(
        "video.corruption", float(truth.times[bad[0]]), until, float(truth.share.max()),
        {"codec": codec, "kind": kind, "seed": seed, "share": float(truth.share.max())},
    )  # fmt: skip
