"""Interlaced clips made of progressive ones: their fields come in the declared order, or for a while in the other."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av import VideoFormat
from av.filter import Graph

from models.synthesis.picture import Picture, Plane
from models.synthesis.picture_clip import frame_of
from models.synthesis.planted import Planted

# By codec: libavcodec's encoder and its options for pictures of two fields.
CODECS: Final = {
    # Without x264's tree of macroblocks, whose AVX-512 code gives other bytes from run to run.
    "h264": ("libx264", {"crf": "14", "preset": "veryfast", "flags": "+ilme+ildct", "x264-params": "mbtree=0"}),
    "mpeg2": ("mpeg2video", {"qmin": "1", "qmax": "3", "flags": "+ilme+ildct"}),
}


def weave(pictures: Sequence[Picture], *, top_first: bool) -> list[Picture]:
    """Each two pictures are the fields of one, the earlier of them the top field or the bottom field.

    Args:
        pictures: of one shape, 4:2:0; one that is left over is left out.
        top_first: the lines 0, 2, ... come from the earlier one.
    """

    def woven(earlier: Plane, later: Plane) -> Plane:
        both = (earlier if top_first else later).copy()
        both[1::2] = (later if top_first else earlier)[1::2]
        return both

    found = []
    for earlier, later in zip(pictures[::2], pictures[1::2], strict=False):
        y, u, v = (woven(one, two) for one, two in zip(earlier, later, strict=True))
        found.append((y, u, v))
    return found


def write_interlaced(
    path: Path, pictures: Sequence[Picture], *, rate: Fraction, top_first: bool, codec: str = "h264"
) -> None:
    """Code pictures of two fields, visually losslessly, marked as interlaced.

    Args:
        path: of the file; its suffix decides the container.
        pictures: 8 bit, 4:2:0, of one shape; height a multiple of 4.
        rate: pictures per second.
        top_first: which field the stream says is first, whatever is in the pictures.
        codec: of CODECS.
    Raises: av.FFmpegError where it cannot be written.
    """
    name, options = CODECS[codec]
    height, width = pictures[0][0].shape
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(name, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if codec == "mpeg2":
            stream.bit_rate = 20_000_000
        # PyAV cannot mark a frame; the filter does.
        graph = Graph()
        source = graph.add_buffer(
            width=width, height=height, format=VideoFormat("yuv420p", width, height), time_base=1 / rate
        )
        order = graph.add("setfield", "tff" if top_first else "bff")
        sink = graph.add("buffersink")
        source.link_to(order)
        order.link_to(sink)
        graph.configure()
        for index, picture in enumerate(pictures):
            frame = frame_of(picture, "yuv420p")
            frame.pts, frame.time_base = index, 1 / rate
            source.push(frame)
            container.mux(stream.encode(sink.pull()))
        container.mux(stream.encode(None))


def plant_field_order(
    path: Path, pictures: Sequence[Picture], *, rate: Fraction, start: float, end: float, top_first: bool = True,
    codec: str = "h264",
) -> Planted:  # fmt: skip
    """Write an interlaced clip whose fields come in the other order than the stream says, from `start` to `end`.

    Args:
        path: as for `write_interlaced`.
        pictures: of the scene, one for each field; 8 bit, 4:2:0, height a multiple of 4.
        rate: pictures per second of the clip, half of the fields.
        start, end: media seconds.
        top_first: what the stream says.
        codec: of CODECS.
    Returns: the ground truth.
    """
    right, wrong = weave(pictures, top_first=top_first), weave(pictures, top_first=not top_first)
    bad = [index for index in range(len(right)) if start <= float(index / rate) < end]
    shown = [*right[: bad[0]], *wrong[bad[0] : bad[-1] + 1], *right[bad[-1] + 1 :]]
    write_interlaced(path, shown, rate=rate, top_first=top_first, codec=codec)
    return Planted(
        "video.field_order", float(bad[0] / rate), float((bad[-1] + 1) / rate), 1.0,
        {"what": "field_order", "codec": codec, "top_first": int(top_first)},
    )  # fmt: skip
