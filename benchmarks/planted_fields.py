"""Fields in the wrong order, planted into interlaced clips that are made of real ones."""

import random
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path

from benchmarks.planted_pictures import DEFECT_SECONDS, Judge, windows
from benchmarks.tallies import Tally, set_seconds, tally
from engine.detectors import detector
from models.synthesis.interlaced import plant_field_order, weave, write_interlaced
from models.synthesis.picture_windows import coded_rate
from models.synthesis.visible import is_visible, samples

WHAT = "field_order"


def bench_field_order(
    folder: Path, clips: Sequence[Path], judge: Judge, seed: int, say: Callable[[str, Tally], None]
) -> dict[str, Tally]:
    """Each two pictures of a clip become the fields of one, at half of its rate; H.264 and MPEG-2 take turns.

    Args:
        folder: for the copies.
        clips: real ones, progressive, without a fault of their own.
        judge: gives the incidents of files.
        seed: of the random times.
        say: is told at the end.
    """
    counted = Tally(detector="video.field_order")
    lasts = set_seconds(detector("video.field_order"))
    codecs = cycle((("h264", ".mkv"), ("mpeg2", ".ts")))
    for clip in clips:
        for window in windows(clip):
            if window.depth != 8:
                continue
            rate, height = coded_rate(window.rate) / 2, window.pictures[0][0].shape[0] // 4 * 4
            pictures = [(y[:height], u[: height // 2], v[: height // 2]) for y, u, v in window.pictures]
            right, wrong = (weave(pictures, top_first=top_first) for top_first in (True, False))
            start = 2.0 + random.Random(f"{seed} {WHAT} {clip.name}").random()
            places = [k for k in range(len(right)) if start <= float(k / rate) < start + DEFECT_SECONDS]
            spoilt = {k: wrong[k] for k in samples(places[0], places[-1] + 1)}
            if not is_visible(WHAT, right, spoilt, places[0], float(rate)):
                continue
            codec, suffix = next(codecs)
            copy = folder / f"{WHAT}-{clip.stem}{suffix}"
            write_interlaced(copy, right, rate=rate, top_first=True, codec=codec)
            clean = {incident.detector for incident in judge([copy])[str(copy)]}
            planted = plant_field_order(copy, pictures, rate=rate, start=start, end=start + DEFECT_SECONDS, codec=codec)
            name = f"{clip.name}+{window.skipped:g} s, {codec}"
            tally(counted, name, [planted], judge([copy])[str(copy)], clean, set_seconds=lasts, rate=float(rate))
            copy.unlink()
            break
        else:
            counted.no_room.append(clip.name)
    say(WHAT, counted)
    return {WHAT: counted}
