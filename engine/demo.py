"""Makes a clip with planted defects, judges it like any other input, and compares what was planted with what was found.

Pictures: a textured ground that drifts, with shapes moving over it, so that nothing but the planted freeze stands
still. Sound: a few voices of slowly wandering pitch with a syllable rhythm, a little noise below them, at about -23
LUFS (EBU R128's target).
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from engine.errors import ConfigError
from engine.verdicts import Incident

WIDTH, HEIGHT, FRAME_RATE = 640, 360, 25
SAMPLE_RATE: Final = 48_000
SECONDS: Final = 34
# One AAC frame. Cuts in the sound lie on its borders, or the codec's pre-echo would blur them.
AUDIO_FRAME: Final = 1024

FRAME_SECONDS: Final = 1 / FRAME_RATE
SILENCE_TOLERANCE_SECONDS: Final = 0.020
# Short-term loudness looks back 3 s (EBU Tech 3341): it crosses a threshold that far after the sound did, at most.
LOUDNESS_TOLERANCE_SECONDS: Final = 3.0
# With that it is above what audio.loudness allows unless told otherwise, and its peaks are below -1 dBTP: what is told
# here is what `avjury check` tells of the same clip.
LOUDER_DB: Final = 16.0


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect of known place.

    Args:
        detector: that has to find it.
        start, end: media seconds.
        tolerance_seconds: largest difference of either end from what is found.
    """

    detector: str
    start: float
    end: float
    tolerance_seconds: float


def _on_audio_frame(at: float) -> float:
    """The nearest border between AAC frames."""
    return round(at * SAMPLE_RATE / AUDIO_FRAME) * AUDIO_FRAME / SAMPLE_RATE


FREEZE: Final = Planted("video.freeze", 5.0, 9.0, FRAME_SECONDS)
BLACK: Final = Planted("video.black", 13.0, 16.0, FRAME_SECONDS)
SILENCE: Final = Planted("audio.silence", _on_audio_frame(19.0), _on_audio_frame(22.5), SILENCE_TOLERANCE_SECONDS)
LOUD: Final = Planted("audio.loudness", _on_audio_frame(26.0), _on_audio_frame(31.0), LOUDNESS_TOLERANCE_SECONDS)
PLANTED: Final = (FREEZE, BLACK, SILENCE, LOUD)


def picture(index: int, ground: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3) RGB: the moving content at one frame index."""
    t = index / FRAME_RATE
    drift = np.roll(ground, (int(30 * np.sin(t / 3)), int(-45 * t)), axis=(0, 1))[:HEIGHT, :WIDTH]
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    shade = 0.5 + 0.25 * np.sin(x / 90 + t) + 0.25 * np.cos(y / 70 - t / 2)
    image = np.stack([60 + 90 * shade, 70 + 60 * (1 - shade), 110 + 50 * np.sin(shade * 3)], axis=-1) + drift[..., None]
    for k, colour in enumerate(((235, 180, 60), (70, 190, 170), (220, 90, 90))):
        cx = WIDTH * (0.5 + 0.4 * np.sin(0.7 * t + 2 * k))
        cy = HEIGHT * (0.5 + 0.35 * np.cos(0.9 * t + k))
        radius = 34 + 10 * k
        inside = np.abs(x - cx) + np.abs(y - cy) < radius if k == 1 else (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        image[inside] = np.asarray(colour, np.float32) + 0.5 * drift[inside][:, None]
    return np.clip(image, 0, 255).astype(np.uint8)


def sound() -> npt.NDArray[np.float32]:
    """(2, samples) at SAMPLE_RATE: the whole sound track."""
    count = SECONDS * SAMPLE_RATE
    t = np.arange(count) / SAMPLE_RATE
    noise = np.random.default_rng(7)
    rhythm = 0.65 + 0.35 * np.sin(2 * np.pi * 3.1 * t) * np.sin(2 * np.pi * 0.37 * t)
    rhythm[_samples(LOUD.start) : _samples(LOUD.end)] = 1.0  # compressed, as what is too loud is
    channels = []
    for side in (0.0, 0.3):
        voices = sum(
            amount * np.sin(2 * np.pi * pitch * t + 3 * np.sin(2 * np.pi * wander * t + side))
            for pitch, amount, wander in ((180, 0.5, 0.21), (410, 0.35, 0.33), (930, 0.2, 0.27), (2100, 0.08, 0.41))
        )
        channels.append(rhythm * voices + 0.004 * noise.standard_normal(count))
    both = np.stack(channels) * 0.112
    both[:, _samples(SILENCE.start) : _samples(SILENCE.end)] = 0
    both[:, _samples(LOUD.start) : _samples(LOUD.end)] *= 10 ** (LOUDER_DB / 20)
    return both.astype(np.float32)


def _samples(at: float) -> int:
    return round(at * SAMPLE_RATE)


def make_clip(path: Path) -> None:
    """Write the clip: H.264 640x360 25 fps and AAC stereo 48 kHz in MP4.

    Raises: ConfigError if the file cannot be written.
    """
    try:
        with av.open(str(path), "w") as container:
            _encode(container)
    except OSError as error:
        raise ConfigError(
            "cannot write the demo's clip",
            stream=str(path),
            why=error.strerror or str(error),
            remedy="name another DIR",
        ) from error


def _encode(container: Any) -> None:
    video = container.add_stream("libx264", rate=FRAME_RATE)
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    # No key picture inside the freeze: coded anew, it would differ from the one that is held.
    video.options = {"preset": "veryfast", "crf": "20", "g": "1000"}
    audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
    audio.bit_rate = 192_000
    texture = np.random.default_rng(5).standard_normal((HEIGHT + 64, WIDTH + 64)).astype(np.float32)
    ground = texture
    for axis in (0, 1, 0, 1):  # smooth: unsmoothed it is noise, which is a defect
        ground = np.mean([np.roll(ground, shift, axis) for shift in range(5)], axis=0, dtype=np.float32)
    ground = (ground * (16 / ground.std())).astype(np.float32)
    samples = sound()
    written = 0
    for index in range(SECONDS * FRAME_RATE):
        at = index / FRAME_RATE
        if BLACK.start <= at < BLACK.end:
            image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        else:
            image = picture(round(FREEZE.start * FRAME_RATE) if FREEZE.start <= at < FREEZE.end else index, ground)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
        container.mux(video.encode(frame))
        while written < min(samples.shape[1], _samples(at + FRAME_SECONDS)):
            block = np.ascontiguousarray(samples[:, written : written + AUDIO_FRAME])
            sound_frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            sound_frame.sample_rate, sound_frame.pts = SAMPLE_RATE, written
            sound_frame.time_base = Fraction(1, SAMPLE_RATE)
            container.mux(audio.encode(sound_frame))
            written += block.shape[1]
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


@dataclass(frozen=True, slots=True)
class Match:
    """A planted defect beside the incident that was found for it.

    Args:
        planted: None for an incident that nobody planted.
        found: None for a planted defect that was missed.
    """

    planted: Planted | None
    found: Incident | None

    @property
    def agrees(self) -> bool:
        """Both are there, and start and end lie within the tolerance."""
        if self.planted is None or self.found is None or self.found.end is None:
            return False
        tolerance = self.planted.tolerance_seconds + 1e-6
        return (
            abs(self.found.start - self.planted.start) <= tolerance
            and abs(self.found.end - self.planted.end) <= tolerance
        )


def compare(planted: Sequence[Planted], found: Sequence[Incident]) -> list[Match]:
    """Pair each planted defect with the incident of its detector that overlaps it most; then what is left over."""
    left = list(found)
    matches = []
    for defect in planted:
        best = max(
            (incident for incident in left if incident.detector == defect.detector),
            key=lambda incident: min(incident.end or 0.0, defect.end) - max(incident.start, defect.start),
            default=None,
        )
        if best is not None:
            left.remove(best)
        matches.append(Match(defect, best))
    return matches + [Match(None, incident) for incident in left]


def run_demo(folder: Path, device: str = "auto") -> bool:
    """Make, judge, compare, tell.

    Args:
        folder: made if it is not there; gets demo.mp4 and report.html.
        device: as for `avjury check`.
    Returns: whether everything planted was found in its place, and nothing else.
    Raises: ConfigError, DeviceError.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from engine.detectors import all_detectors
    from engine.devices import choose_device
    from engine.output import clock, summary_table
    from engine.pipeline import check
    from engine.report import write_report
    from engine.spec import EngineSettings, StreamSpec

    choose_device(device)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            "cannot make the folder", stream=str(folder), why=error.strerror or str(error), remedy="name another DIR"
        ) from error
    clip, report = folder / "demo.mp4", folder / "report.html"
    console.print(
        f"making {clip} ({SECONDS} s, {WIDTH}x{HEIGHT}, H.264 and AAC) with planted defects ...", soft_wrap=True
    )
    make_clip(clip)
    settings = EngineSettings(device=device, trace=True, thumbnails=True)
    detectors: dict[str, dict[str, object]] = {one.name: {} for one in all_detectors() if not one.optional}
    [outcome] = check([StreamSpec(id=clip.name, url=str(clip), detectors=detectors)], settings)
    if outcome.error is not None:
        raise outcome.error
    matches = compare(PLANTED, outcome.incidents)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("detector", no_wrap=True)
    for name in ("planted", "found", "start off by", "end off by"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("agrees", no_wrap=True)
    for match in matches:
        planted, found = match.planted, match.found
        row = [planted.detector if planted is not None else found.detector if found is not None else ""]
        row.append(f"{clock(planted.start)} to {clock(planted.end)}" if planted is not None else "nothing")
        row.append(f"{clock(found.start)} to {clock(found.end)}" if found is not None else "nothing")
        if planted is not None and found is not None:
            row.append(f"{1000 * (found.start - planted.start):+.1f} ms")
            row.append(f"{1000 * ((found.end or 0.0) - planted.end):+.1f} ms")
        else:
            row += ["-", "-"]
        table.add_row(*row, "[green]yes[/green]" if match.agrees else "[bold red]NO[/bold red]")
    console.print(table)
    if outcome.summary is not None:
        console.print(summary_table([outcome.summary]))
    write_report(report, [outcome])
    console.print(f"report: {report}", soft_wrap=True)
    agreed = all(match.agrees for match in matches)
    console.print("everything planted was found in its place" if agreed else "planted and found do not agree")
    return agreed
