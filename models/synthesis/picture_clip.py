"""A clip with a planted defect of the picture, written to a file."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from models.synthesis.picture import PLANTERS, Picture, moving_pattern, plant
from models.synthesis.planted import Planted


def read_pictures(
    path: Path, seconds: float, *, skip: float = 0.0, most_lines: int | None = None
) -> tuple[list[Picture], Fraction, int]:
    """Some pictures of a clip.

    Args:
        path: of a file that libav reads.
        seconds: how much of it, at its average rate.
        skip: how much of it to leave out before.
        most_lines: of the height; taller pictures are made smaller.
    Returns: the pictures as 4:2:0 in their own depth (8 or 10 bit), pictures per second, bits of a sample.
    Raises: av.FFmpegError if it cannot be read.
    """
    pictures: list[Picture] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        depth = 10 if (stream.codec_context.pix_fmt or "").endswith("10le") else 8
        stream.thread_type = "AUTO"
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        for index, frame in enumerate(container.decode(stream)):
            if index < round(skip * rate):
                continue
            if len(pictures) == round(seconds * rate):
                break
            smaller = 1.0 if most_lines is None else min(1.0, most_lines / frame.height)
            even = frame.reformat(
                width=round(frame.width * smaller) // 2 * 2,
                height=round(frame.height * smaller) // 2 * 2,
                format="yuv420p" if depth == 8 else "yuv420p10le",
            )
            pictures.append(planes_of(even, depth))
    return pictures, rate, depth


def planes_of(frame: av.VideoFrame, depth: int) -> Picture:
    """Copies of a 4:2:0 frame's planes."""
    planes = []
    for plane in frame.planes:
        samples = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
        memory = samples if depth == 8 else samples.view("<u2")
        planes.append(memory[:, : plane.width].copy())
    return planes[0], planes[1], planes[2]


def starve(pictures: Sequence[Picture], rate: Fraction, quantiser: int) -> list[Picture]:
    """What is left of pictures of 8 bits at next to no bits: coded as MPEG-4 Part 2, which has no deblocking.

    Args:
        pictures: of one shape, even width and height.
        rate: pictures per second.
        quantiser: the least, 1 to 31; 31 leaves the least of the pictures.
    """
    height, width = pictures[0][0].shape
    rate = rate.limit_denominator(1001)  # MPEG-4 counts 65,535 ticks a second at most; clips have rates of any kind
    encoder: Any = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.gop_size, encoder.max_b_frames = 1 / rate, rate, 50, 0
    encoder.qmin, encoder.qmax, encoder.bit_rate = quantiser, 31, 1000
    decoder: Any = av.CodecContext.create("mpeg4", "r")
    starved: list[Picture] = []
    for index, picture in enumerate((*pictures, None)):
        frame = None if picture is None else frame_of(picture, "yuv420p")
        if frame is not None:
            frame.pts = index
        for packet in (*encoder.encode(frame), *([None] if frame is None else [])):
            starved += (planes_of(decoded, 8) for decoded in decoder.decode(packet))
    return starved


def frame_of(picture: Picture, format: str = "yuv420p") -> Any:
    """A 4:2:0 frame of libav with the samples of a picture."""
    height, width = picture[0].shape
    frame = av.VideoFrame(width, height, format)
    for plane, samples in zip(frame.planes, picture, strict=True):
        rows = np.zeros((samples.shape[0], plane.line_size // samples.itemsize), samples.dtype)
        rows[:, : samples.shape[1]] = samples
        plane.update(rows.tobytes())
    return frame


def write_pictures(path: Path, pictures: Iterator[Picture], *, rate: Fraction, depth: int = 8) -> int:
    """Write 4:2:0 pictures to a file, coded so that nothing can be seen of it: H.264, CRF 12, marked progressive.

    Args:
        path: of the file; its suffix decides the container.
        pictures: of one shape, even width and height.
        rate: pictures per second.
        depth: 8 or 10.
    Returns: how many pictures there were.
    """
    written = 0
    with av.open(str(path), "w") as container:
        # Without x264's tree of macroblocks, whose AVX-512 code gives other bytes from run to run.
        options = {"crf": "12", "preset": "veryfast", "x264-params": "mbtree=0"}
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt = "yuv420p" if depth == 8 else "yuv420p10le"
        for picture in pictures:
            height, width = picture[0].shape
            if not written:
                stream.width, stream.height = width, height
            frame = frame_of(picture, stream.pix_fmt)
            frame.pts, frame.time_base = written, 1 / rate
            container.mux(stream.encode(frame))
            written += 1
        container.mux(stream.encode(None))
    return written


def plant_clip(
    target: Path, what: str, *, source: Path | None, seconds: float, start: float, end: float, strength: float,
    seed: int = 0, size: tuple[int, int] = (640, 360),
) -> Planted:  # fmt: skip
    """Decode a clip, plant a defect, and write it visually losslessly.

    Args:
        target: file to write.
        what: a name of PLANTERS.
        source: a clip of at least `end` seconds; None: a moving pattern of `size` at 25 pictures a second.
        seconds: length of what is written, at most.
        start, end: of the defect, media seconds.
        strength: see the planter.
        seed: of what is random.
    Returns: the ground truth: the times of the first picture that is bad and of the first that is good again.
    Raises: KeyError for an unknown name; ValueError where no picture of the clip lies in the interval.
    """
    if source is None:
        rate, depth, pattern = Fraction(25), 8, moving_pattern(*size, seed=seed)
        pictures = [next(pattern) for _ in range(round(seconds * rate))]
    else:
        pictures, rate, depth = read_pictures(source, seconds)
    times = [float(index / rate) for index in range(len(pictures))]
    bad = [index for index, time in enumerate(times) if start <= time < end]
    if not bad:
        raise ValueError(f"no picture of {source or 'the pattern'} from {start} to {end} s")
    spoilt = plant(iter(pictures), what, rate=rate, start=start, end=end, strength=strength, depth=depth, seed=seed)
    write_pictures(target, spoilt, rate=rate, depth=depth)
    _, detector = PLANTERS[what]
    return Planted(
        detector,
        times[bad[0]],
        float((bad[-1] + 1) / rate),
        strength,
        {"what": what, "seed": seed, "source": "pattern" if source is None else source.name},
    )
