"""Pictures through real coders, as a broadcaster would code them, starved of bits, and as they are shown again."""

import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np

from models.synthesis.picture import Picture
from models.synthesis.picture_clip import frame_of, planes_of, starve

# Coders that libav calls otherwise than their decoders.
_ENCODERS: Final = {"flv1": "flv"}
_DECODERS: Final = {"libx264": "h264", "libx265": "hevc"}


def coded(pictures: Sequence[Picture], rate: Fraction, rng: np.random.Generator) -> list[Picture]:
    """The pictures after a broadcaster's coder."""
    context: Any = av.CodecContext.create("libx264", "w")
    height, width = pictures[0][0].shape
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base, context.thread_count = rate, 1 / rate, 1
    context.max_b_frames = int(rng.integers(0, 3))
    context.options = {"crf": str(int(rng.integers(16, 30))), "preset": "veryfast"}
    return _through(context, "h264", pictures, rate)


def coarsely_coded(pictures: Sequence[Picture], rate: Fraction, rng: np.random.Generator) -> list[Picture]:
    """The pictures after a coder that was given next to no bits."""
    if rng.random() < 0.4:
        return starve(pictures, rate, int(rng.integers(14, 32)))
    context: Any = av.CodecContext.create("libx264" if rng.random() < 0.6 else "mpeg2video", "w")
    height, width = pictures[0][0].shape
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base, context.thread_count = rate, 1 / rate, 1
    if context.name == "libx264":
        filtered = "1:0" if rng.random() < 0.4 else "0:0"
        context.options = {"crf": str(int(rng.integers(36, 50))), "preset": "veryfast",
                           "x264-params": f"no-deblock={filtered[0]}"}  # fmt: skip
        return _through(context, "h264", pictures, rate)
    context.qmin, context.qmax = int(rng.integers(16, 30)), 31
    context.bit_rate = 1000
    return _through(context, "mpeg2video", pictures, rate)


def evenly_coded(
    pictures: Sequence[Picture], rate: Fraction, codec: str, pixels: str, quantiser: int, group: int
) -> list[Picture]:  # fmt: skip
    """The pictures after a coder with one quantiser for all, as cameras have.

    Args:
        pictures: to be coded.
        rate: pictures per second.
        codec: as libav's decoder is called.
        pixels: format that the coder takes; samples are given to it as they are.
        quantiser: 1 to 31, from fine to coarse.
        group: pictures from one key picture to the next.
    """
    context: Any = av.CodecContext.create(_ENCODERS.get(codec, codec), "w")
    height, width = pictures[0][0].shape
    context.width, context.height, context.pix_fmt = width, height, pixels
    context.framerate, context.time_base, context.thread_count = rate, 1 / rate, 1
    context.qmin = context.qmax = quantiser
    context.bit_rate, context.gop_size = 100_000, group
    # Motion JPEG of full range is what cameras write, and none of the standard's.
    context.options = {"strict": "unofficial"}
    return _through(context, codec, pictures, rate, pixels)


def recoded(
    pictures: Sequence[Picture], rate: Fraction, codec: str, options: Mapping[str, str], group: int
) -> list[Picture]:  # fmt: skip
    """The pictures after a coder whose options are the caller's.

    Args:
        pictures: of one shape, even width and height.
        rate: pictures per second.
        codec: as libav's coder is called.
        options: of the coder.
        group: pictures from one key picture to the next.
    """
    context: Any = av.CodecContext.create(codec, "w")
    height, width = pictures[0][0].shape
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate, context.time_base, context.thread_count = rate, 1 / rate, 1
    context.gop_size, context.options = group, dict(options)
    return _through(context, _DECODERS.get(codec, codec), pictures, rate)


def _through(
    encoder: Any, codec: str, pictures: Sequence[Picture], rate: Fraction, pixels: str = "yuv420p"
) -> list[Picture]:  # fmt: skip
    decoder: Any = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    shown: list[Picture] = []
    for index, picture in enumerate((*pictures, None)):
        frame = None
        if picture is not None:
            frame = frame_of(picture, pixels)
            frame.pts, frame.time_base = index, 1 / rate
        for packet in (*encoder.encode(frame), *([None] if picture is None else [])):
            shown += (planes_of(decoded, 8) for decoded in decoder.decode(packet))
    return shown


def decoded_pictures(stream: bytes) -> Iterator[tuple[float, Picture]]:
    """Time and planes of every picture that a decoder shows of a transport stream, in the order of their showing."""
    opened: Any = av.open(io.BytesIO(stream), format="mpegts")
    with opened as container:
        track = container.streams.video[0]
        track.codec_context.thread_count = 1
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if frame.pts is not None and frame.format.name in ("yuv420p", "yuvj420p"):
                    yield round(float(frame.pts * track.time_base), 4), planes_of(frame, 8)
