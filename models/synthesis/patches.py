"""Training data of the artifact network: pieces of real clips and made-up graphics, clean and spoilt, with their truth.

What transmission breaks is broken in real coded streams and concealed by the real decoder; what capture, cables and
conversions break is planted into the pictures, most of which are then coded as a broadcaster would. The truth is per
tile, found by comparing the pictures with what they would have been; where nobody could say, it says so. Everything
random is drawn from the seed and the clip's name. Clips are held out by their name, so that no clip is ever trained on
and tried on.
"""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from models.artifact_net import LABELS, PIECE, TILE, TILES
from models.synthesis.coded_damage import CODECS, KINDS, VISIBLE_ERROR, damage_stream
from models.synthesis.picture import PLANTERS, Moment, Picture, Plane, smoothed
from models.synthesis.picture_clip import planes_of, starve

# Truth of a tile that nobody could tell.
UNKNOWN: Final = 255
# One clip in so many is held out.
HELD_OUT: Final = 3
WIDTH: Final = 384
HEIGHT: Final = 256
SHORT, LONG = 10, 36
# Mean absolute difference over a tile, in 8-bit codes: below the first nothing changed, from the second on it shows.
_NOTHING, _SHOWS = 1.0, 4.0
# A cut, a caption, a fade or a wipe that is no damage, in this share of the clean pieces.
_HARD_SHARE: Final = 0.6
_RATES: Final = (Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50))

Maps = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A picture with the one before it and the truth.

    Args:
        earlier, now: of one shape.
        truth: (rows, columns, labels) uint8: 0, 1 or UNKNOWN, by tiles of TILE samples from the corner on.
        kind: how it was made.
    """

    earlier: Picture
    now: Picture
    truth: Maps
    kind: str


def is_held_out(name: str) -> bool:
    """Whether a clip is never trained on."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % HELD_OUT == HELD_OUT - 1


def windows(path: Path, rng: np.random.Generator, count: int) -> Iterator[tuple[list[Picture], Fraction]]:
    """Parts of a clip, LONG pictures of at most WIDTH x HEIGHT samples at the clip's own resolution, 8 bit 4:2:0.

    Args:
        path: of a file that libav reads.
        rng: chooses places and times.
        count: of parts; fewer where the clip is short.
    """
    opened: Any = av.open(str(path), metadata_errors="replace")
    with opened as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        coded_rate = min(_RATES, key=lambda known: abs(known - rate))  # MPEG-2 has no others
        known = float(container.duration or 0) / 1e6 * float(rate)
        total = min(int(known) or 2 * LONG, 900)
        starts = sorted(int(rng.integers(0, max(1, total - LONG))) for _ in range(count))
        place = rng.random((count, 2))
        parts: list[list[Picture]] = [[] for _ in starts]
        for index, frame in enumerate(container.decode(stream)):
            if index >= starts[-1] + LONG:
                break
            wanted = [k for k, start in enumerate(starts) if start <= index < start + LONG]
            if not wanted:
                continue
            whole = planes_of(frame.reformat(format="yuv420p"), 8)
            height, width = whole[0].shape
            h, w = min(HEIGHT, height // TILE * TILE), min(WIDTH, width // TILE * TILE)
            for k in wanted:
                top, left = (int(r * (size - part) / 2) * 2 for r, size, part in zip(place[k], (height, width), (h, w),
                                                                                     strict=True))  # fmt: skip
                y, u, v = (
                    plane[top // s : (top + h) // s, left // s : (left + w) // s].copy()
                    for plane, s in zip(whole, (1, 2, 2), strict=True)
                )
                parts[k].append((y, u, v))
    for part in parts:
        if len(part) == LONG and min(part[0][0].shape) >= PIECE:
            yield part, coded_rate


def graphics(rng: np.random.Generator) -> list[Picture]:
    """LONG pictures of what a graphics machine shows: flat and shaded areas, boxes and text, that move and pop up."""
    scale = 16 if rng.random() < 0.5 else 1
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    ground = [float(rng.integers(16, 235)), float(rng.integers(60, 200)), float(rng.integers(60, 200))]
    slope = rng.normal(0, 0.15, 2) if rng.random() < 0.5 else np.zeros(2)
    things = []
    for _ in range(int(rng.integers(3, 14))):
        size = rng.integers(1, [10, 16]) * (scale if scale > 1 else int(rng.integers(5, 17)))
        begin = 0 if rng.random() < 0.5 else int(rng.integers(1, LONG))
        end = LONG if rng.random() < 0.5 else begin + int(rng.integers(1, LONG))
        at = rng.random(2) * [HEIGHT, WIDTH] // scale * scale
        speed = np.zeros(2) if rng.random() < 0.5 else rng.normal(0, 4, 2)
        colour = [float(rng.integers(16, 235)), float(rng.integers(40, 220)), float(rng.integers(40, 220))]
        glyphs = rng.random((int(size[0]) // 4 + 1, int(size[1]) // 3 + 1)) < 0.5 if rng.random() < 0.5 else None
        things.append((begin, end, at, speed, size, colour, glyphs))
    pictures: list[Picture] = []
    for index in range(LONG):
        canvas = [np.full((HEIGHT, WIDTH), level) for level in ground]
        canvas[0] += slope[0] * y + slope[1] * x
        for begin, end, at, speed, size, colour, glyphs in things:
            if not begin <= index < end:
                continue
            top, left = (at + speed * index).astype(int)
            rows, columns = (slice(max(0, a), max(0, a + int(s))) for a, s in zip((top, left), size, strict=True))
            part = canvas[0][rows, columns]
            if not part.size:
                continue
            mask: npt.NDArray[np.bool_] = np.ones(part.shape, bool)
            if glyphs is not None:
                mask = np.kron(glyphs, np.ones((4, 3), bool))[: part.shape[0], : part.shape[1]]
                mask = np.pad(mask, [(0, part.shape[0] - mask.shape[0]), (0, part.shape[1] - mask.shape[1])])
            for plane, level in zip(canvas, colour, strict=True):
                plane[rows, columns] = np.where(mask, level, plane[rows, columns])
        luma, u, v = (np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in canvas)
        pictures.append((luma, u[::2, ::2].copy(), v[::2, ::2].copy()))
    return pictures


def tile_means(plane: npt.NDArray[Any]) -> Floats:
    """(rows, columns): the mean of each tile of TILE samples; what is beyond the last whole one is left."""
    rows, columns = plane.shape[0] // TILE, plane.shape[1] // TILE
    tiles = plane[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE)
    means: Floats = tiles.mean(axis=(1, 3), dtype=np.float64)
    return means


def apart(a: Plane, b: Plane) -> Floats:
    """(rows, columns): mean absolute difference of each tile."""
    return tile_means(np.abs(a.astype(np.int16) - b.astype(np.int16)))


def clean_truth(picture: Picture) -> Maps:
    """Nothing is wrong anywhere."""
    return np.zeros((picture[0].shape[0] // TILE, picture[0].shape[1] // TILE, len(LABELS)), np.uint8)


def graded(truth: Maps, label: str, amount: Floats, nothing: float, shows: float) -> Maps:
    """Where there is enough of it the label is true, where there is little nobody can tell."""
    column = LABELS.index(label)
    truth[..., column] = np.where(amount >= shows, 1, np.where(amount <= nothing, 0, UNKNOWN))
    return truth


def unsure(truth: Maps, labels: Sequence[str], where: npt.NDArray[np.bool_] | None = None) -> Maps:
    """Nobody can tell these."""
    for label in labels:
        column = truth[..., LABELS.index(label)]
        column[... if where is None else where] = UNKNOWN
    return truth


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


def _through(encoder: Any, codec: str, pictures: Sequence[Picture], rate: Fraction) -> list[Picture]:
    decoder: Any = av.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    height, width = pictures[0][0].shape
    shown: list[Picture] = []
    for index, picture in enumerate((*pictures, None)):
        frame = None
        if picture is not None:
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, samples in zip(frame.planes, picture, strict=True):
                rows = np.zeros((samples.shape[0], plane.line_size), np.uint8)
                rows[:, : samples.shape[1]] = samples
                plane.update(rows.tobytes())
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


def _colour_apart(one: Picture, other: Picture) -> Floats:
    """(rows, columns): how far the chroma of each tile is apart, U and V together."""
    both = [np.repeat(np.repeat(np.abs(a.astype(np.int16) - b), 2, 0), 2, 1) for a, b in zip(one[1:], other[1:],
                                                                                       strict=True)]  # fmt: skip
    return tile_means(both[0]) + tile_means(both[1])


def damaged_cases(
    pictures: Sequence[Picture], rate: Fraction, codec: str, kind: str, rng: np.random.Generator, each: int
) -> Iterator[Case]:
    """Pictures of a coded stream that lost or changed bytes, as the decoder shows them.

    Args:
        pictures: of a window.
        rate: pictures per second.
        codec, kind: see coded_damage.
        rng: of what is random.
        each: most pictures.
    """
    strength = float(rng.choice([0.05, 0.15, 0.3, 0.6]))
    whole, spoilt = damage_stream(
        pictures, codec, kind, rate=rate, start=0.15 * LONG / float(rate), end=0.9 * LONG / float(rate),
        strength=strength, seed=int(rng.integers(1 << 30)), every=float(rng.choice([0.25, 0.5])) * LONG / float(rate),
        gop_seconds=float(rng.choice([0.5, 1.0, 2.0])), coder=_some_coder(codec, rng),
    )  # fmt: skip
    clean, shown = dict(decoded_pictures(whole)), list(decoded_pictures(spoilt))
    pairs = [(a, b) for a, b in pairwise(shown) if b[0] in clean]
    pairs = [(a, b) for a, b in pairs if a[1][0].shape == b[1][0].shape == clean[b[0]][0].shape]
    errors = [apart(now[1][0], clean[now[0]][0]) for _, now in pairs]
    colours = [_colour_apart(now[1], clean[now[0]]) for _, now in pairs]
    # Chroma counts as luma does: what turned green is seen.
    bad = [np.maximum(e, c) for e, c in zip(errors, colours, strict=True)]
    seen = [k for k, b in enumerate(bad) if (b >= VISIBLE_ERROR).any()]
    rest = [k for k, b in enumerate(bad) if (b < 3.0).all()]
    chosen = [*rng.permutation(seen)[: each - 1], *rng.permutation(rest)[:1]]
    for k in chosen:
        (_, earlier), (_, now) = pairs[int(k)]
        truth = graded(clean_truth(now), "corruption", bad[int(k)], 3.0, VISIBLE_ERROR)
        yield Case(earlier, now, unsure(truth, LABELS[1:], truth[..., 0] > 0), f"{codec} {kind}")


def _some_coder(codec: str, rng: np.random.Generator) -> Mapping[str, str]:
    """Options of an encoder, as broadcasters' differ: slices, quality and tools."""
    slices, quality = int(rng.choice([1, 2, 4, 8])), int(rng.integers(18, 33))
    preset = str(rng.choice(["ultrafast", "veryfast", "fast"]))
    if codec == "h264":
        return {"crf": str(quality), "preset": preset, "slices": str(slices)}
    if codec == "hevc":
        return {"crf": str(quality), "x265-params": f"log-level=none:slices={min(slices, 3)}:open-gop=0"}
    return {}


def _energy(luma: Plane) -> Floats:
    """(rows, columns): mean slope of each tile."""
    values = luma.astype(np.float64)
    return tile_means(np.abs(np.diff(values, axis=1, append=values[:, -1:])) + np.abs(
        np.diff(values, axis=0, append=values[-1:])))  # fmt: skip


def _resized(picture: Picture, factor: float, sharpen: float) -> Picture:
    """Made smaller, larger again, and sharper than it was: soft, with rings along its edges."""
    height, width = picture[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, samples in zip(frame.planes, picture, strict=True):
        rows = np.zeros((samples.shape[0], plane.line_size), np.uint8)
        rows[:, : samples.shape[1]] = samples
        plane.update(rows.tobytes())
    small = frame.reformat(width=round(width / factor) // 2 * 2, height=round(height / factor) // 2 * 2,
                           interpolation="AREA")  # fmt: skip
    y, u, v = planes_of(small.reformat(width=width, height=height, interpolation="LANCZOS"), 8)
    luma = y.astype(np.float64)
    around = luma.copy()
    for axis in (0, 1):
        around = np.mean([np.roll(around, k, axis) for k in range(-2, 3)], axis=0)
    return np.clip(np.rint(luma + sharpen * (luma - around)), 0, 255).astype(np.uint8), u, v


def _colour_broken(picture: Picture, way: int, amount: int) -> Picture:
    """Chroma in the wrong place or of the wrong kind."""
    y, u, v = picture
    if way == 0:
        return y, v.copy(), u.copy()
    if way == 1:
        return y, np.roll(u, amount, 1), np.roll(v, amount, 1)
    if way == 2:
        return y, np.full_like(u, (0, 64, 255)[amount % 3]), v
    if way == 3:
        return y, u, np.full_like(v, (0, 64, 255)[amount % 3])
    return y, 255 - u, 255 - v


def _dropout(picture: Picture, rng: np.random.Generator) -> tuple[Picture, npt.NDArray[np.bool_]]:
    """Streaks of white, black or noise, and rows that slipped, as of a tape; and which samples are hit."""
    luma = picture[0].copy()
    hit = np.zeros(luma.shape, bool)
    height, width = luma.shape
    for _ in range(int(rng.integers(2, 14))):
        row, tall = int(rng.integers(0, height - 3)), int(rng.integers(1, 4))
        left = int(rng.integers(0, width - 24))
        long = int(rng.integers(16, width // 2))
        part = luma[row : row + tall, left : left + long]
        level = (
            rng.integers(0, 256, part.shape) if rng.random() < 0.3 else np.full(part.shape, rng.choice([16, 235, 255]))
        )
        part[:] = level
        hit[row : row + tall, left : left + long] = True
    if rng.random() < 0.4:
        row, tall = int(rng.integers(0, height - 16)), int(rng.integers(4, 16))
        for k in range(row, row + tall):
            luma[k] = np.roll(luma[k], int(rng.normal(0, 12)))
        hit[row : row + tall] = True
    return (luma, picture[1], picture[2]), hit


def _spoil(pictures: Sequence[Picture], first: int, change: Callable[[int, Picture], Picture]) -> list[Picture]:
    return [picture if k < first else change(k, picture) for k, picture in enumerate(pictures)]


def planted_cases(
    window: Sequence[Picture], rate: Fraction, what: str, rng: np.random.Generator, each: int
) -> Iterator[Case]:
    """Pictures with a defect that was there before the coder.

    Args:
        window: LONG pictures.
        rate: pictures per second.
        what: a label but "corruption".
        rng: of what is random.
        each: most pictures.
    """
    start = int(rng.integers(0, LONG - SHORT))
    pictures = window[start : start + SHORT]
    first = int(rng.integers(1, 4))
    seed = int(rng.integers(1 << 30))
    masks: dict[int, npt.NDArray[np.bool_]] = {}

    def plant(name: str, strength: float) -> list[Picture]:
        def change(k: int, now: Picture) -> Picture:
            own = np.random.default_rng((seed, k))
            moment = Moment(now, pictures[k - 1], pictures[first - 1], k - first, 0.5, 8, own)
            return PLANTERS[name][0](moment, strength)

        return _spoil(pictures, first, change)

    strength = 0.0
    if what == "noise":
        strength = float(rng.uniform(6, 25))
        spoilt = plant("noise", strength)
    elif what == "blur":
        strength = float(rng.uniform(4, 12)) * 720 / pictures[0][0].shape[0] / 3
        spoilt = plant("blur", strength)
    elif what == "banding":
        strength = float(rng.choice([6, 8, 12, 16]))
        spoilt = plant("banding", strength)
    elif what == "combing":
        spoilt = plant("combing", 1.0)
    elif what == "tearing":
        strength = float(rng.uniform(0.2, 0.8))
        spoilt = plant("tearing", strength)
    elif what == "colour":
        way, amount = int(rng.integers(0, 5)), int(rng.choice([-12, -8, 8, 12, 16, 5]))
        spoilt = _spoil(pictures, first, lambda _, now: _colour_broken(now, way, amount))
    elif what == "ringing":
        factor, sharpen = float(rng.uniform(1.8, 4.0)), float(rng.uniform(0.3, 1.5))
        spoilt = _spoil(pictures, first, lambda _, now: _resized(now, factor, sharpen))
    elif what == "dropout":

        def drop(k: int, now: Picture) -> Picture:
            picture, masks[k] = _dropout(now, np.random.default_rng((seed, k)))
            return picture

        spoilt = _spoil(pictures, first, drop)
    else:
        spoilt = [*pictures[:first], *coarsely_coded(pictures[first:], rate, rng)]
    shown = spoilt
    if what != "blockiness" and rng.random() < 0.6:
        shown = coded(spoilt, rate, rng)
    if len(shown) != len(spoilt):
        return
    later = rng.permutation(np.arange(first + 1, SHORT))[: each - 1]
    for k in (first, *(int(index) for index in later)):
        now, before = pictures[k], pictures[k - 1]
        yield Case(shown[k - 1], shown[k], _truth_of(what, now, before, spoilt[k], masks.get(k), strength), what)


def _truth_of(
    what: str, now: Picture, before: Picture, spoilt: Picture, hit: npt.NDArray[np.bool_] | None, strength: float
) -> Maps:
    """The truth of a planted picture: where the defect shows."""
    truth, moved, changed = clean_truth(now), apart(now[0], before[0]), apart(now[0], spoilt[0])
    if what == "noise":
        return unsure(graded(truth, "noise", changed, 0.5, 3.0), ("banding", "blockiness"))
    if what == "blur":
        lost = 1 - _energy(spoilt[0]) / np.maximum(_energy(now[0]), 1e-6)
        amount = np.where(_energy(now[0]) >= 3.0, lost, 0.3)
        return unsure(graded(truth, "blur", amount, -1.0, 0.5), ("banding", "ringing"))
    if what == "banding":
        smooth = smoothed(now[0].astype(np.float64))
        slope = np.abs(np.diff(smooth, axis=1, append=smooth[:, -1:]))
        ramp = tile_means((slope > 0.05) & (slope < 1.0)) * (changed >= 1.0)
        return unsure(graded(truth, "banding", ramp, -1.0, 0.5), ("blockiness",))
    if what == "combing":
        return unsure(graded(truth, "combing", changed, _NOTHING / 2, _SHOWS), ("tearing", "ringing"))
    if what == "tearing":
        torn = np.full(moved.shape, 0.5 * (_NOTHING + _SHOWS))
        row = round(now[0].shape[0] * (1 - strength))
        near = abs((np.arange(len(torn)) + 0.5) * TILE - row) <= TILE
        torn[:] = np.where(near[:, None], np.where(moved >= _SHOWS, moved, 2.0), 0.0)
        return graded(truth, "tearing", torn, _NOTHING, _SHOWS)
    if what == "colour":
        return graded(truth, "colour", _colour_apart(now, spoilt), -1.0, 24.0)
    if what == "ringing":
        amount = np.where(_energy(now[0]) >= 4.0, changed, 1.0)
        return unsure(graded(truth, "ringing", amount, -1.0, 2.5), ("blur", "banding"))
    if what == "dropout":
        assert hit is not None
        share = tile_means(hit) * (changed >= 2.0)
        return unsure(graded(truth, "dropout", share, 0.0, 1 / 16), ("corruption", "tearing", "noise"), share > 0)
    amount = np.where(changed >= 3.0, changed, 1.0)
    return unsure(graded(truth, "blockiness", amount, -1.0, 3.0), ("blur", "banding", "ringing", "noise"))


def clean_cases(
    window: Sequence[Picture], other: Sequence[Picture], rate: Fraction, rng: np.random.Generator, each: int
) -> Iterator[Case]:
    """Pictures without a defect, and with what only looks like one: cuts, captions, fades, wipes, coarse motion.

    Args:
        window, other: parts of clips.
        rate: pictures per second.
        rng: of what is random.
        each: pictures.
    """
    pictures: Sequence[Picture] = window
    if rng.random() < 0.6:
        pictures = coded(window, rate, rng)
    if len(pictures) != len(window):
        return
    for k in rng.permutation(np.arange(1, LONG))[:each]:
        now, earlier, kind = pictures[int(k)], pictures[int(k) - 1], "clean"
        truth = clean_truth(now)
        if rng.random() < _HARD_SHARE:
            if rng.random() < 0.5:
                kind, earlier, now = _harmless(earlier, now, window, other, rng)
            else:
                kind, earlier, now, doubtful = _effect(int(k), pictures, other, rng)
                truth = unsure(clean_truth(now), doubtful)
        yield Case(earlier, now, truth, kind)


# What a look that is meant leaves nobody able to tell.
_DOUBTFUL: Final[Mapping[str, tuple[str, ...]]] = {
    "split": ("tearing",),
    "glitch": ("tearing", "dropout", "colour", "noise", "combing", "ringing"),
    "grain": ("noise", "blur", "banding", "ringing"),
    "dark": ("noise", "blur", "banding", "blockiness"),
    "mosaic": ("blockiness", "blur", "banding", "ringing"),
    "strobe": ("banding", "blur", "colour"),
    "pan": (),
    "dissolve": ("blur", "banding", "ringing"),
    "zoom": ("blur", "ringing"),
}


def _effect(
    k: int, pictures: Sequence[Picture], other: Sequence[Picture], rng: np.random.Generator
) -> tuple[str, Picture, Picture, tuple[str, ...]]:
    """Two successive pictures of something that is meant to look so, and the labels that nobody can tell of it."""
    kind = str(rng.choice(list(_DOUBTFUL)))
    seed = int(rng.integers(1 << 30))
    two = [_look(kind, step, pictures[k - 1 + step], pictures, other[k - 1 + step], seed) for step in (0, 1)]
    return kind, two[0], two[1], _DOUBTFUL[kind]


def _look(
    kind: str, step: int, picture: Picture, pictures: Sequence[Picture], beside: Picture, seed: int
) -> Picture:  # fmt: skip
    """One of two successive pictures with an effect.

    Args:
        kind: a key of _DOUBTFUL.
        step: 0 or 1, the first or second picture.
        picture: without the effect.
        pictures: of its window.
        beside: of another window.
        seed: of what both have in common.
    """
    common, own = np.random.default_rng(seed), np.random.default_rng((seed, step))
    height, width = picture[0].shape
    planes = [plane.copy() for plane in picture]
    if kind == "split":
        edge, across = int(common.integers(width // 5, 4 * width // 5)) // 2 * 2, bool(common.random() < 0.3)
        for plane, source, s in zip(planes, beside, (1, 2, 2), strict=True):
            tall, wide = (plane.shape[0] * edge // width, plane.shape[1]) if across else (plane.shape[0], edge // s)
            if source.shape == plane.shape:
                plane[:tall, :wide] = source[:tall, :wide]
    elif kind == "glitch":
        for _ in range(int(own.integers(1, 9))):
            row, tall, by = int(own.integers(0, height - 8)), int(own.integers(2, 48)), int(own.normal(0, 30)) // 2 * 2
            for plane, s in zip(planes, (1, 2, 2), strict=True):
                rows = slice(row // s, (row + tall) // s)
                plane[rows] = np.roll(plane[rows], by // s + (0 if s == 1 else int(own.integers(-6, 7))), axis=1)
    elif kind == "grain":
        strength = float(common.uniform(2, 9))
        grain = own.normal(0, strength, (height + 1, width + 1))
        planes[0] = _clipped(planes[0] + (grain[1:, 1:] + grain[:-1, 1:] + grain[1:, :-1]) / 2)
    elif kind == "dark":
        gain = float(common.uniform(0.08, 0.4))
        planes[0] = _clipped(16 + gain * (planes[0].astype(float) - 16) + own.normal(0, common.uniform(0.5, 4),
                                                                                    planes[0].shape))  # fmt: skip
        planes[1:] = [_clipped(128 + gain * (p.astype(float) - 128) + own.normal(0, 1.5, p.shape)) for p in planes[1:]]
    elif kind == "mosaic":
        size = int(common.choice([8, 12, 16, 20, 24]))
        top, left = int(common.integers(0, height - 64)), int(common.integers(0, width - 64))
        tall, wide = int(common.integers(48, height)), int(common.integers(48, width))
        for plane, s in zip(planes, (1, 2, 2), strict=True):
            area = plane[top // s : (top + tall) // s, left // s : (left + wide) // s]
            cell = max(1, size // s)
            area[:] = np.kron(area[::cell, ::cell], np.ones((cell, cell), np.uint8))[: area.shape[0], : area.shape[1]]
    elif kind == "strobe":
        if step:
            planes[0] = _clipped(planes[0].astype(float) * common.uniform(0.3, 3) + common.uniform(-60, 120))
    elif kind == "dissolve":
        share = min(1.0, float(common.uniform(0.1, 0.9)) + 0.06 * step)
        if beside[0].shape == picture[0].shape:
            planes = [_clipped(share * a + (1 - share) * b.astype(float)) for a, b in zip(planes, beside, strict=True)]
    else:
        down, right = common.normal(0, 10, 2)
        factor = float(common.uniform(1.02, 1.12)) ** step if kind == "zoom" else 1.0
        still = pictures[0]
        for index, (plane, s) in enumerate(zip(still, (1, 2, 2), strict=True)):
            y = np.arange(plane.shape[0]) / factor + step * int(down) / s
            x = np.arange(plane.shape[1]) / factor + step * int(right) / s
            y, x = (np.clip(at, 0, size - 1) for at, size in zip((y, x), plane.shape, strict=True))
            planes[index] = plane[y.astype(int)][:, x.astype(int)]
    return planes[0], planes[1], planes[2]


def _clipped(plane: npt.NDArray[Any]) -> Plane:
    rounded: Plane = np.clip(np.rint(plane), 0, 255).astype(np.uint8)
    return rounded


def _harmless(
    earlier: Picture, now: Picture, window: Sequence[Picture], other: Sequence[Picture], rng: np.random.Generator
) -> tuple[str, Picture, Picture]:
    way = rng.choice(["cut", "skip", "still", "fade", "caption", "wipe"])
    height, width = now[0].shape
    if way == "cut":
        y, u, v = other[int(rng.integers(len(other)))]
        if y.shape[0] >= height and y.shape[1] >= width:
            return way, (y[:height, :width], u[: height // 2, : width // 2], v[: height // 2, : width // 2]), now
        way = "skip"
    if way == "skip":
        return way, window[int(rng.integers(LONG))], now
    if way == "still":
        return way, now, now
    if way == "fade":
        gain, lift = float(rng.uniform(0.2, 1.4)), float(rng.uniform(-40, 60))
        luma = np.clip(earlier[0] * gain + lift, 0, 255).astype(np.uint8)
        return way, (luma, earlier[1], earlier[2]), now
    top, left = (int(rng.integers(0, size - 32)) // 2 * 2 for size in (height, width))
    bottom, right = (int(rng.integers(a + 16, size)) // 2 * 2 for a, size in ((top, height), (left, width)))
    if rng.random() < 0.5:
        top, left, bottom, right = (n // TILE * TILE for n in (top, left, bottom + TILE, right + TILE))
    planes = []
    source = other[int(rng.integers(len(other)))] if way == "wipe" else None
    for k, plane in enumerate(now):
        s = 1 if k == 0 else 2
        changed = plane.copy()
        part = changed[top // s : bottom // s, left // s : right // s]
        if source is not None and source[k].shape == plane.shape:
            part[:] = source[k][top // s : bottom // s, left // s : right // s]
        elif k == 0 and rng.random() < 0.5:
            text = rng.random((part.shape[0] // 6 + 1, part.shape[1] // 3 + 1)) < 0.4
            part[:] = np.where(np.kron(text, np.ones((6, 3), bool))[: part.shape[0], : part.shape[1]], 225, 40)
        else:
            part[:] = int(rng.integers(16, 235))
        planes.append(changed)
    return way, earlier, (planes[0], planes[1], planes[2])


def pieces(case: Case, rng: np.random.Generator, count: int) -> Iterator[tuple[Plane, Plane, Maps]]:
    """Pieces of a case, where something is wrong more often than elsewhere.

    Returns: luma (2, PIECE, PIECE), chroma (2, 2, PIECE / 2, PIECE / 2), truth (TILES, TILES, labels), all uint8.
    """
    rows, columns = case.truth.shape[0] - TILES + 1, case.truth.shape[1] - TILES + 1
    if rows < 1 or columns < 1:
        return
    hit = (case.truth == 1).any(axis=2)
    # How many of the tiles of each possible piece are hit.
    total = np.pad(hit.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[TILES:, TILES:] - total[:-TILES, TILES:] - total[TILES:, :-TILES] + total[:-TILES, :-TILES]
    with_hits = np.argwhere(inside > 0)
    for index in range(count):
        if len(with_hits) and index % 4 < 3:
            row, column = with_hits[int(rng.integers(len(with_hits)))]
        else:
            row, column = int(rng.integers(rows)), int(rng.integers(columns))
        top, left = int(row) * TILE, int(column) * TILE
        luma = np.stack([p[0][top : top + PIECE, left : left + PIECE] for p in (case.earlier, case.now)])
        h, t, le = PIECE // 2, top // 2, left // 2
        chroma = np.stack([[p[k][t : t + h, le : le + h] for k in (1, 2)] for p in (case.earlier, case.now)])
        yield luma, chroma, case.truth[int(row) : int(row) + TILES, int(column) : int(column) + TILES]


def cases_of(
    window: Sequence[Picture], other: Sequence[Picture], rate: Fraction, rng: np.random.Generator
) -> Iterator[Case]:
    """Every kind of case of one window."""
    combinations = [(c, k) for c in CODECS for k in KINDS if (c, k) != ("hevc", "lost")]
    for index in rng.permutation(len(combinations))[:7]:
        yield from damaged_cases(window, rate, *combinations[int(index)], rng, 5)
    for what in LABELS[1:]:
        yield from planted_cases(window, rate, what, rng, 2 if what != "blockiness" else 4)
    for _ in range(2):
        yield from clean_cases(window, other, rate, rng, 14)


def make_shard(source: Path | int, seed: int, count: int = 3) -> Mapping[str, npt.NDArray[Any]]:
    """All pieces of one clip.

    Args:
        source: a clip, or the number of a clip of graphics that is made up.
        seed: of what is random.
        count: windows of it.
    Returns: luma, chroma and truth as in `pieces`, stacked; kind: how each was made.
    """
    name = source.name if isinstance(source, Path) else f"graphics {source}"
    rng = np.random.default_rng([seed, *hashlib.sha256(name.encode()).digest()[:8]])
    if isinstance(source, Path):
        found = list(windows(source, rng, count))
    else:
        found = [(graphics(rng), Fraction(25)) for _ in range(count)]
    luma, chroma, truth, kinds = [], [], [], []
    for number, (window, rate) in enumerate(found):
        other = found[(number + 1) % len(found)][0]
        for case in cases_of(window, other, rate, rng):
            for a, b, c in pieces(case, rng, 6 if case.truth[..., 0].any() else 4):
                luma.append(a)
                chroma.append(b)
                truth.append(c)
                kinds.append(case.kind)
    empty = (0, 2, PIECE, PIECE), (0, 2, 2, PIECE // 2, PIECE // 2), (0, TILES, TILES, len(LABELS))
    a, b, c = (
        np.stack(x) if x else np.zeros(shape, np.uint8) for x, shape in zip((luma, chroma, truth), empty, strict=True)
    )
    return {"luma": a, "chroma": b, "truth": c, "kind": np.array(kinds, "U16")}
