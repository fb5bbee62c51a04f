"""Clean content that is drawn here: kinds of programme of which the real clips have none, or too little.

Cartoons, tickers, credits, split screens, fast cuts, stage light, fades, grain, low light, slow and fast pans, pulldown
and doubled pictures, at 24 to 60 a second, with speech or music. Textures have the spectrum of photographs (amplitudes
that fall with frequency). The same seed gives the same samples. Nothing here is a defect: what is told of it is a false
alarm.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

SAMPLE_RATE: Final = 48_000
SECONDS: Final = 8.0
_DARKEST, _BRIGHTEST = 16, 235

Plane = npt.NDArray[np.float32]
Picture = tuple[Plane, Plane, Plane]
"""Luma, U and V in 8-bit codes, chroma of half the size each way."""
Sound = npt.NDArray[np.float32]
Draw = Callable[[float], Picture]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of programme.

    Args:
        name: for people.
        rate: pictures per second.
        scene: gives what draws the picture of a second, from a random generator, width and height.
        drawn: distinct pictures per second, where others are repeated; None where all are distinct.
        sound: "speech" or "music".
        size: width and height.
        codec: name in CODERS.
    """

    name: str
    rate: Fraction
    scene: Callable[[np.random.Generator, int, int], Draw]
    drawn: Fraction | None = None
    sound: str = "music"
    size: tuple[int, int] = (640, 360)
    codec: str = "h264"


CODERS: Final[Mapping[str, tuple[str, str, Mapping[str, str]]]] = {
    "h264": ("libx264", ".mp4", {"crf": "20", "preset": "veryfast"}),
    "hevc": ("libx265", ".mp4", {"crf": "22", "preset": "ultrafast", "x265-params": "log-level=none"}),
    "mpeg2": ("mpeg2video", ".ts", {"qmin": "2", "qmax": "4"}),
    "vp9": ("libvpx-vp9", ".webm", {"deadline": "realtime", "cpu-used": "8", "crf": "30"}),
}
# With temporal noise shaping FFmpeg's own AAC coder leaves clicks, of a thousandth of a second and a thirtieth of full
# scale: four in 54 minutes of made sound, which audio.click had told rightly.
CLEAN_AAC: Final[Mapping[str, str]] = {"aac_tns": "0"}


def texture(rng: np.random.Generator, height: int, width: int, fall: float = 1.3) -> Plane:
    """(height, width) of zero mean and unit deviation, whose amplitudes fall as 1 / frequency**fall."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None, :] * width)
    frequency[0, 0] = 1.0
    made = np.fft.irfft2(spectrum / frequency**fall, s=(height, width))
    return np.asarray((made - made.mean()) / made.std(), np.float32)


def _window(plane: Plane, left: float, top: float, width: int, height: int) -> Plane:
    """A part of a plane that begins between samples, on straight lines between them; the plane goes on at its edges."""
    x, y = int(np.floor(left)), int(np.floor(top))
    fx, fy = np.float32(left - x), np.float32(top - y)
    rows = np.arange(y, y + height + 1) % plane.shape[0]
    columns = np.arange(x, x + width + 1) % plane.shape[1]
    part = plane[rows[:, None], columns[None, :]]
    across = part[:, :-1] + (part[:, 1:] - part[:, :-1]) * fx
    return np.asarray(across[:-1] + (across[1:] - across[:-1]) * fy, np.float32)


class _Photo:
    """A coloured picture larger than what is shown of it: things of all sizes, each with a texture, before each other.

    Source: the dead leaves model, whose edges and spectrum are those of photographs (Lee, Mumford and Huang 2001).
    """

    def __init__(
        self, rng: np.random.Generator, width: int, height: int, *, level: float = 118.0, contrast: float = 34.0,
        colour: float = 12.0, room: int = 2,
    ) -> None:  # fmt: skip
        self.size = width, height
        size = height * room, width * room
        small = size[0] // 2, size[1] // 2
        tint = rng.uniform(-10, 10, 2)
        things: Picture = (
            np.zeros(size, np.float32),
            np.full(small, 128 + tint[0], np.float32),
            np.full(small, 128 + tint[1], np.float32),
        )
        for _ in range(700):
            # Radii from a fiftieth to a third of the height, fewer the larger they are (density 1 / radius**3).
            radius = height / np.sqrt(rng.uniform(9.0, 2500.0))
            radii = radius * rng.uniform(0.6, 1.0), radius * rng.uniform(0.6, 1.0)
            paint = rng.normal(0, 1.1), *(128 + tint + colour * rng.normal(0, 1, 2))
            centre = rng.uniform(0, size[1]), rng.uniform(0, size[0])
            things = _ellipse(things, centre, radii, (paint[0], paint[1], paint[2]))
        shade = 0.8 * things[0] + 0.6 * texture(rng, *size)
        self.luma = np.asarray(np.clip(level + contrast * shade, 17, 234), np.float32)
        self.u, self.v = (np.asarray(np.clip(plane, 30, 226), np.float32) for plane in things[1:])

    def at(self, left: float, top: float) -> Picture:
        width, height = self.size
        halves = (left / 2, top / 2, width // 2, height // 2)
        return (
            _window(self.luma, left, top, width, height),
            _window(self.u, *halves),
            _window(self.v, *halves),
        )


def _grid(width: int, height: int) -> tuple[Plane, Plane]:
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x, y


def _paint(picture: Picture, mask: Plane, colour: tuple[float, float, float]) -> Picture:
    """A colour over a picture, as much as `mask` (0 to 1, at luma's size) says."""
    small = mask[::2, ::2]
    y, u, v = picture
    return y + (colour[0] - y) * mask, u + (colour[1] - u) * small, v + (colour[2] - v) * small


def _ellipse(
    picture: Picture, centre: tuple[float, float], radii: tuple[float, float], colour: tuple[float, float, float]
) -> Picture:
    """A filled ellipse with a soft edge over a picture, in place; whole or in part outside of it too."""
    height, width = picture[0].shape
    left, right = (int(np.clip(centre[0] + side * (radii[0] + 2), 0, width)) & ~1 for side in (-1, 1))
    top, bottom = (int(np.clip(centre[1] + side * (radii[1] + 2), 0, height)) & ~1 for side in (-1, 1))
    if left >= right or top >= bottom:
        return picture
    y, x = np.ogrid[top:bottom, left:right]
    far = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    mask = np.clip((1 - far) * min(radii) + 0.5, 0, 1).astype(np.float32)
    here, half = np.s_[top:bottom, left:right], np.s_[top // 2 : bottom // 2, left // 2 : right // 2]
    for plane, place, share, value in zip(picture, (here, half, half), (mask, mask[::2, ::2], mask[::2, ::2]), colour,
                                          strict=True):  # fmt: skip
        plane[place] += (value - plane[place]) * share
    return picture


def _put(picture: Picture, part: Picture, left: int, top: int) -> Picture:
    """A smaller picture in a larger one, at even samples."""
    y, u, v = (plane.copy() for plane in picture)
    y[top : top + part[0].shape[0], left : left + part[0].shape[1]] = part[0]
    for whole, piece in ((u, part[1]), (v, part[2])):
        whole[top // 2 : top // 2 + piece.shape[0], left // 2 : left // 2 + piece.shape[1]] = piece
    return y, u, v


def _speaker(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Somebody who speaks: a head that nods and a mouth that opens, before a wall."""
    wall = _Photo(rng, width, height, contrast=9.0, colour=3.0, room=1).at(0, 0)
    skin = texture(rng, height, width, fall=1.5) * 7
    phase = rng.uniform(0, 6, 6)

    def draw(t: float) -> Picture:
        across = width * (0.5 + 0.03 * np.sin(0.9 * t + phase[0]) + 0.012 * np.sin(2.3 * t + phase[1]))
        down = height * (0.45 + 0.02 * np.sin(1.3 * t + phase[2]) + 0.01 * np.sin(3.1 * t + phase[3]))
        mouth = height * (0.018 + 0.02 * abs(np.sin(9.0 * t + phase[4]) * np.sin(2.1 * t + phase[5])))
        shown = wall[0].copy(), wall[1].copy(), wall[2].copy()
        shown = _ellipse(shown, (across, 1.12 * height), (0.42 * height, 0.42 * height), (58, 138, 120))
        shown = _ellipse(shown, (across, down), (0.17 * height, 0.25 * height), (150, 112, 148))
        left, top = max(0, int(across - 0.12 * height)), max(0, int(down - 0.17 * height))
        face = shown[0][top : top + int(0.34 * height), left : left + int(0.24 * height)]
        face += _window(skin, left - across, top - down, face.shape[1], face.shape[0])
        for side in (-1, 1):
            eye = across + side * 0.07 * height, down - 0.05 * height
            shown = _ellipse(shown, eye, (0.022 * height, 0.014 * height), (35, 126, 130))
        return _ellipse(shown, (across, down + 0.12 * height), (0.06 * height, mouth), (70, 118, 165))

    return draw


def _cartoon(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Flat colours with outlines that bounce over a painted background that pans."""
    back = _Photo(rng, width, height, contrast=14.0, colour=8.0)
    shapes = [(rng.uniform(0.08, 0.2), rng.uniform(0, 6, 4), rng.uniform(60, 200), rng.uniform(70, 190, 2))
              for _ in range(5)]  # fmt: skip

    def draw(t: float) -> Picture:
        shown = back.at(24 * t, 0)
        for size, phase, luma, colour in shapes:
            across = width * (0.5 + 0.4 * np.sin(1.3 * t + phase[0]))
            down = height * (0.75 - 0.4 * abs(np.sin(2.2 * t + phase[1])))
            radii = size * height, size * height / (1 + 0.2 * np.sin(4 * t + phase[2]))
            shown = _ellipse(shown, (across, down), (radii[0] + 3, radii[1] + 3), (24, 128, 128))
            shown = _ellipse(shown, (across, down), radii, (luma, *colour))
        return shown

    return draw


def _letters(rng: np.random.Generator, width: int, height: int, line: int) -> Plane:
    """(height, width) 0 to 1: something that looks like lines of text, which are `line` samples high."""
    page = np.zeros((height, width), np.float32)
    stroke = max(1, line // 8)
    for top in range(line // 2, height - line, round(1.6 * line)):
        at = line
        end = round(width * rng.uniform(0.5, 0.95))
        while at < end:
            wide = round(line * rng.uniform(0.35, 0.6))
            if rng.random() < 0.18:
                at += wide  # between words
                continue
            glyph = page[top : top + line, at : at + wide]
            for _ in range(3):
                if rng.random() < 0.5:
                    row = int(rng.integers(0, max(1, glyph.shape[0] - stroke)))
                    glyph[row : row + stroke] = 1
                elif glyph.shape[1] > stroke:
                    column = int(rng.integers(0, glyph.shape[1] - stroke))
                    glyph[:, column : column + stroke] = 1
            at += wide + 2 * stroke
    return page


def _ticker(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Somebody who speaks, above a line of text that runs."""
    speaker = _speaker(rng, width, height)
    band = round(height * 0.1) // 2 * 2
    text = _letters(rng, width * 3, band, band * 5 // 8)
    speed = 0.15 * width

    def draw(t: float) -> Picture:
        strip = 30 + 190 * _window(text, speed * t, 0, width, band)
        grey = np.full((band // 2, width // 2), 128, np.float32)
        return _put(speaker(t), (strip, grey + 22, grey - 12), 0, height - band - 10 & ~1)

    return draw


def _credits(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Light text on dark, which runs up."""
    text = _letters(rng, width, height * 4, height // 18)
    grey = np.full((height // 2, width // 2), 128, np.float32)
    return lambda t: (18 + 200 * _window(text, 0, 0.14 * height * t, width, height), grey, grey)


def _page(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Dark text on white, which runs up evenly."""
    text = _letters(rng, width, height * 4, height // 24)
    grey = np.full((height // 2, width // 2), 128, np.float32)
    return lambda t: (228 - 190 * _window(text, 0, 0.2 * height * t, width, height), grey, grey)


def _split(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Four pictures at once: two people, one that pans, one that stands."""
    half = width // 4 * 2, height // 4 * 2
    one, two = _speaker(rng, *half), _speaker(rng, *half)
    panned, still = _Photo(rng, *half), _Photo(rng, *half).at(0, 0)
    ground = _Photo(rng, width, height, contrast=4.0, room=1).at(0, 0)

    def draw(t: float) -> Picture:
        shown = ground
        for part, left, top in ((one(t), 0, 0), (two(t), half[0], 0), (panned.at(30 * t, 6 * t), 0, half[1]),
                                (still, half[0], half[1])):  # fmt: skip
            shown = _put(shown, part, left, top)
        return shown

    return draw


def _presented(rng: np.random.Generator, width: int, height: int) -> Draw:
    """A slide that is exchanged every five seconds beside somebody who speaks, a third of the picture wide."""
    inset = width // 6 * 2, height // 2 * 2
    speaker = _speaker(rng, *inset)
    slides = [228 - 180 * _letters(rng, width, height, height // 14) for _ in range(8)]
    grey = np.full((height // 2, width // 2), 128, np.float32)
    return lambda t: _put((slides[int(t / 5) % 8], grey, grey), speaker(t), (width - inset[0]) & ~1, 0)


def _cuts(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Shots of 0.5 to 2 s, each with a motion of its own."""
    shots = [_Photo(rng, width, height, level=rng.uniform(85, 140), contrast=rng.uniform(22, 40)) for _ in range(7)]
    speeds = rng.uniform(-120, 120, (7, 2))
    ends = np.cumsum(rng.uniform(0.5, 2.0, 400))

    def draw(t: float) -> Picture:
        shot = int(np.searchsorted(ends, t, side="right"))
        which = shot * 3 % 7
        return shots[which].at(*(speeds[which] * t))

    return draw


def _stage(rng: np.random.Generator, width: int, height: int) -> Draw:
    """A dark stage, beams that sweep and swell with the beat, twice a second, and people before it."""
    x, y = _grid(width, height)
    heads = height * 0.78 + 14 * _window(texture(rng, 64, width, 1.4), 0, 0, width, height)
    crowd = np.asarray(np.clip((y - heads) / 4, 0, 1), np.float32)
    hues = rng.uniform(80, 176, (4, 2))
    phase = rng.uniform(0, 6, 4)
    haze = 6 * texture(rng, height, width, fall=1.6)

    def draw(t: float) -> Picture:
        shown: Picture = (
            30 + haze,
            np.full((height // 2, width // 2), 130, np.float32),
            np.full((height // 2, width // 2), 126, np.float32),
        )
        for n in range(4):
            angle = 0.5 * np.sin(0.7 * t + phase[n])
            foot = width * (0.2 + 0.2 * n)
            off = abs(x - foot - angle * y) / (12 + 0.12 * y)
            swell = 0.5 + 0.3 * (0.5 + 0.5 * np.sin(2 * np.pi * 2.0 * t + n)) ** 2
            beam = np.asarray(np.clip(1 - off, 0, 1) * swell, np.float32)
            shown = _paint(shown, beam, (165, *hues[n]))
        return _paint(shown, crowd, (20, 128, 128))

    return draw


def _fades(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Shots that dissolve into each other, and every third into black and out of it."""
    shots = [_Photo(rng, width, height) for _ in range(4)]

    def draw(t: float) -> Picture:
        number, within = int(t // 4), t % 4
        here, there = shots[number % 4].at(20 * t, 5 * t), shots[(number + 1) % 4].at(20 * t + 9, 5 * t)
        share = np.float32(np.clip((within - 2.8) / 1.2, 0, 1))
        if number % 3 < 2:
            y, u, v = (a + (b - a) * share for a, b in zip(here, there, strict=True))
            return y, u, v
        dark = np.float32(abs(2 * share - 1))
        y, u, v = here if share < 0.5 else there
        return 16 + (y - 16) * dark, 128 + (u - 128) * dark, 128 + (v - 128) * dark

    return draw


def _noisy(level: float, contrast: float, noise: float, coarse: bool, speed: tuple[float, float]) -> Any:
    """A picture that moves slowly under noise: of a sensor, or coarser, of film."""

    def scene(rng: np.random.Generator, width: int, height: int) -> Draw:
        photo = _Photo(rng, width, height, level=level, contrast=contrast, colour=7.0)
        seed = int(rng.integers(1 << 30))

        def draw(t: float) -> Picture:
            fresh = np.random.default_rng((seed, round(t * 1000))).standard_normal((height, width)).astype(np.float32)
            if coarse:
                four = fresh, np.roll(fresh, 1, 0), np.roll(fresh, 1, 1), np.roll(fresh, (1, 1), (0, 1))
                fresh = np.asarray(sum(four) / np.float32(2), np.float32)
            y, u, v = photo.at(speed[0] * t, speed[1] * t)
            return y + noise * fresh, u, v

        return draw

    return scene


def _pan(across: float, down: float, contrast: float = 34.0) -> Any:
    """A photograph over which the camera moves, in samples a second."""

    def scene(rng: np.random.Generator, width: int, height: int) -> Draw:
        photo = _Photo(rng, width, height, contrast=contrast)
        return lambda t: photo.at(across * t, down * t)

    return scene


def _handheld(rng: np.random.Generator, width: int, height: int) -> Draw:
    """A camera in a hand that does not come to rest."""
    photo = _Photo(rng, width, height)
    phase = rng.uniform(0, 6, 6)

    def draw(t: float) -> Picture:
        across = 40 * np.sin(0.5 * t + phase[0]) + 6 * np.sin(5.1 * t + phase[1]) + 2 * np.sin(11 * t + phase[2])
        down = 20 * np.sin(0.4 * t + phase[3]) + 5 * np.sin(6.3 * t + phase[4]) + 2 * np.sin(9 * t + phase[5])
        return photo.at(float(across), float(down))

    return draw


def _sport(rng: np.random.Generator, width: int, height: int) -> Draw:
    """A field with players, followed by a camera that speeds up and slows down."""
    field = _Photo(rng, width, height, level=105, contrast=12.0, colour=5.0)
    phase = rng.uniform(0, 6, (9, 2))
    shirts = [(200, 128, 128) if n % 2 else (60, 110, 190) for n in range(9)]

    def draw(t: float) -> Picture:
        left = width * 0.6 * np.sin(0.55 * t) + width * 0.12 * np.sin(2.1 * t)
        shown = field.at(float(left), 0.0)
        for n in range(9):
            across = width * (0.1 * n + 0.15 * np.sin(0.8 * t + phase[n, 0])) - left * 0.8 + width * 0.1
            down = height * (0.3 + 0.06 * n + 0.05 * np.sin(1.7 * t + phase[n, 1]))
            shown = _ellipse(shown, (across, down), (0.025 * height, 0.05 * height), shirts[n])
        return shown

    return draw


def _particles(rng: np.random.Generator, width: int, height: int) -> Draw:
    """Snow that falls before a scene that stands."""
    back = _Photo(rng, width, height, level=80, contrast=20.0, room=1).at(0, 0)
    flakes = [(texture(rng, height, width, fall=0.4) > 2.3).astype(np.float32) for _ in range(3)]

    def draw(t: float) -> Picture:
        shown: Picture = back
        for n, layer in enumerate(flakes):
            shown = _paint(shown, 0.8 * _window(layer, 14 * np.sin(t + n), -(60 + 50 * n) * t, width, height),
                           (215, 128, 128))  # fmt: skip
        return shown

    return draw


def _map(rng: np.random.Generator, width: int, height: int) -> Draw:
    """A map that stands, clouds that go over it, and somebody before it."""
    land = _Photo(rng, width, height, contrast=16.0, colour=18.0, room=1).at(0, 0)
    clouds = np.clip(texture(rng, height * 2, width * 2, fall=1.7) - 0.3, 0, 1)
    third = width // 6 * 2, height
    speaker = _speaker(rng, *third)

    def draw(t: float) -> Picture:
        shown = _paint(land, 0.7 * _window(clouds, 25 * t, 6 * t, width, height), (210, 128, 128))
        return _put(shown, speaker(t), 0, 0)

    return draw


def _game(rng: np.random.Generator, width: int, height: int) -> Draw:
    """A floor that comes nearer in perspective, a sky that turns, and instruments that stand."""
    ground, sky = texture(rng, 512, 512, 1.1), texture(rng, height, width * 2, 1.7)
    x, y = _grid(width, height)
    depth = np.maximum(y - height * 0.5, 1.0)
    horizon = np.clip((y - height * 0.5) / 3, 0, 1)
    gauge = ((np.hypot(x - 0.9 * width, y - 0.85 * height) < 0.1 * height) * 0.8).astype(np.float32)
    grey = np.full((height // 2, width // 2), 128, np.float32)

    def draw(t: float) -> Picture:
        far = 6000 / depth
        across = ((x - width / 2) / depth * 60 + 30 * np.sin(0.6 * t)).astype(np.int64) % 512
        along = (far + 160 * t).astype(np.int64) % 512
        # What is far is small, and would shimmer: its contrast goes with its size.
        floor = 95 + 24 * ground[along, across] * np.clip(depth / (0.25 * height), 0, 1)
        above = 150 + 14 * _window(sky, 30 * np.sin(0.6 * t), 0, width, height)
        needle = abs((x - 0.9 * width) * np.cos(2 * t) + (y - 0.85 * height) * np.sin(2 * t)) < 1.5
        shown = _paint((above + (floor - above) * horizon, grey + 6, grey - 6), gauge, (40, 128, 128))
        return _paint(shown, (needle & (gauge > 0)).astype(np.float32), (220, 90, 200))

    return draw


def _of(*rate: int) -> Fraction:
    return Fraction(*rate)


KINDS: Final = (
    Kind("cartoon, on ones", _of(24), _cartoon),
    Kind("cartoon, on twos", _of(24), _cartoon, _of(12)),
    Kind("cartoon, on threes", _of(24), _cartoon, _of(8), codec="hevc"),
    Kind("cartoon, 12 drawings in 25 pictures", _of(25), _cartoon, _of(12)),
    Kind("news with a ticker, 50", _of(50), _ticker, sound="speech"),
    Kind("news with a ticker, 25", _of(25), _ticker, sound="speech", codec="mpeg2"),
    Kind("credits that run up, 25", _of(25), _credits),
    Kind("page of text that runs up, 30", _of(30), _page, sound="speech"),
    Kind("split screen, 30", _of(30), _split, sound="speech"),
    Kind("slides and a speaker, 25", _of(25), _presented, sound="speech"),
    Kind("somebody who speaks, 30000/1001", _of(30000, 1001), _speaker, sound="speech"),
    Kind("somebody who speaks, 60", _of(60), _speaker, sound="speech"),
    Kind("fast cuts, 25", _of(25), _cuts),
    Kind("fast cuts, 60", _of(60), _cuts, codec="hevc"),
    Kind("stage light, 30", _of(30), _stage),
    Kind("stage light, 50", _of(50), _stage, codec="vp9"),
    Kind("fades, 24", _of(24), _fades),
    Kind("film grain, 24", _of(24), _noisy(115, 32, 4.0, True, (9, 2))),
    Kind("low light, 30", _of(30), _noisy(38, 9, 2.5, False, (6, 0))),
    Kind("slow pan, 50", _of(50), _pan(14, 3)),
    Kind("slow pan, 24000/1001", _of(24000, 1001), _pan(-20, 8), codec="vp9"),
    Kind("fast pan, 60", _of(60), _pan(420, 0)),
    Kind("fast pan, 25", _of(25), _pan(-300, 40), codec="mpeg2"),
    Kind("camera in a hand, portrait, 30", _of(30), _handheld, size=(360, 640), sound="speech"),
    Kind("sport, 50", _of(50), _sport),
    Kind("pan, 720p, 60", _of(60), _pan(180, 20), size=(1280, 720)),
    Kind("snow, 25", _of(25), _particles),
    Kind("weather map, 25", _of(25), _map, sound="speech"),
    Kind("game, 60", _of(60), _game, codec="hevc"),
    Kind("3:2 pulldown, 24 in 30", _of(30), _sport, _of(24)),
    Kind("24 in 60", _of(60), _handheld, _of(24)),
    Kind("25 in 50", _of(50), _sport, _of(25)),
    Kind("30 in 60", _of(60), _speaker, _of(30), sound="speech"),
    Kind("24 in 50", _of(50), _handheld, _of(24)),
)  # fmt: skip


def pictures(kind: Kind, seconds: float, seed: int) -> Iterator[Picture]:
    """The pictures of a kind of programme, in order."""
    draw = kind.scene(np.random.default_rng((seed, *kind.name.encode())), *kind.size)
    before: tuple[Fraction, Picture] | None = None
    for index in range(round(seconds * kind.rate)):
        moment = index / kind.rate
        if kind.drawn is not None:
            moment = (moment * kind.drawn).__floor__() / kind.drawn
        if before is None or before[0] != moment:
            before = moment, draw(float(moment))
        yield before[1]


def speech(rng: np.random.Generator, seconds: float) -> Sound:
    """(2, n): a voice in a room; syllables of a hummed tone and of hiss, with pauses between sentences."""
    n = round(seconds * SAMPLE_RATE)
    t = np.arange(n) / SAMPLE_RATE
    pitch = 120 + 25 * np.sin(0.7 * t) + 10 * np.sin(3.1 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k**1.1 for k in range(1, 25))
    hiss = np.diff(rng.standard_normal(n + 1)) * 0.3
    loud = np.zeros(n)
    at = 0.1
    while at < seconds - 0.4:
        length = rng.uniform(0.1, 0.28)
        begin, end = round(at * SAMPLE_RATE), round((at + length) * SAMPLE_RATE)
        loud[begin:end] = np.sin(np.linspace(0, np.pi, end - begin)) ** 0.7 * rng.uniform(0.5, 1.0)
        at += length + (rng.uniform(0.4, 0.8) if rng.random() < 0.12 else rng.uniform(0.01, 0.06))
    mix = np.where(np.sin(2 * np.pi * 1.7 * t + np.sin(5 * t)) > 0.8, hiss, voice) * loud
    return _in_room(rng, mix, 0.07)


def music(rng: np.random.Generator, seconds: float) -> Sound:
    """(2, n): chords of tones that decay, and a bass, in a room."""
    n = round(seconds * SAMPLE_RATE)
    mix = np.zeros((2, n))
    t = np.arange(round(1.8 * SAMPLE_RATE)) / SAMPLE_RATE
    for beat in range(int(seconds / 0.5)):
        for _ in range(3):
            note = 55.0 * 2 ** (int(rng.integers(0, 36)) / 12)
            tone = sum(np.sin(2 * np.pi * note * k * t) / k**1.6 for k in range(1, 8)) * np.exp(-3 * t)
            tone *= np.minimum(1, t / 0.006)
            begin = round(0.5 * beat * SAMPLE_RATE)
            part, side = tone[: n - begin], rng.uniform(0.25, 0.75)
            mix[0, begin : begin + len(part)] += part * side
            mix[1, begin : begin + len(part)] += part * (1 - side)
    return _in_room(rng, mix, 0.06)


def _in_room(rng: np.random.Generator, mix: Any, level: float) -> Sound:
    """Both channels with reverberation of their own, at an rms of `level` of full scale."""
    both = np.broadcast_to(mix, (2, mix.shape[-1]))
    length = SAMPLE_RATE // 3
    decay = np.exp(-np.arange(length) / (0.06 * SAMPLE_RATE))
    size = 1 << (both.shape[1] + length).bit_length()
    heard = []
    for channel in both:
        room = rng.standard_normal(length) * decay * 0.01
        room[0] += 1.0
        heard.append(np.fft.irfft(np.fft.rfft(channel, size) * np.fft.rfft(room, size), size)[: both.shape[1]])
    made = np.array(heard)
    made *= level / np.sqrt((made**2).mean())
    return np.clip(made, -0.7, 0.7).astype(np.float32)


def write(kind: Kind, path: Path, seconds: float, seed: int) -> None:
    """A clip of a kind of programme, with its sound."""
    rng = np.random.default_rng((seed, 1, *kind.name.encode()))
    heard = (speech if kind.sound == "speech" else music)(rng, seconds)
    name, _, options = CODERS[kind.codec]
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream(name, rate=kind.rate, options=dict(options))
        track.width, track.height = kind.size
        track.pix_fmt = "yuv420p"
        if kind.codec == "mpeg2":
            track.bit_rate = 12_000_000
        elif kind.codec == "vp9":
            track.bit_rate = 0
        coder, sound_options = ("libopus", {}) if path.suffix == ".webm" else ("aac", CLEAN_AAC)
        sound: Any = container.add_stream(coder, rate=SAMPLE_RATE, options=dict(sound_options))
        sound.layout, sound.bit_rate = "stereo", 192_000
        size = sound.codec_context.frame_size or 1024
        sent = 0
        for index, picture in enumerate(pictures(kind, seconds, seed)):
            frame = av.VideoFrame(*kind.size, "yuv420p")
            for plane, samples in zip(frame.planes, picture, strict=True):
                rows = np.zeros((samples.shape[0], plane.line_size), np.uint8)
                rows[:, : samples.shape[1]] = np.clip(np.rint(samples), _DARKEST, _BRIGHTEST)
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = index, 1 / kind.rate
            container.mux(track.encode(frame))
            until = min(heard.shape[1], round((index + 1) / kind.rate * SAMPLE_RATE))
            while sent + size <= until:
                sent = _send(container, sound, heard, sent, size)
        if sent < heard.shape[1]:
            _send(container, sound, heard, sent, heard.shape[1] - sent)
        container.mux(track.encode(None))
        container.mux(sound.encode(None))


def _send(container: Any, track: Any, heard: Sound, at: int, size: int) -> int:
    part = np.ascontiguousarray(heard[:, at : at + size].T).reshape(1, -1)
    frame: Any = av.AudioFrame.from_ndarray(part, format="flt", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, at, Fraction(1, SAMPLE_RATE)
    container.mux(track.encode(frame))
    return at + size


def made_clips(folder: Path, seed: int, seconds: float = SECONDS) -> Iterator[tuple[str, Path]]:
    """A clip of every kind in turn; each is gone when the next is asked for."""
    for kind in KINDS:
        path = folder / f"made{CODERS[kind.codec][1]}"
        write(kind, path, seconds, seed)
        yield kind.name, path
        path.unlink()
