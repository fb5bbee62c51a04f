"""The part of `avjury bench detectors` that damages coded pictures: what is seen of it is `video.corruption`.

Each clip is encoded in three codecs, its coded pictures lose or change bytes, slices or whole pictures
(models/synthesis/coded_damage.py), and the damaged stream itself is judged, as a decoder shows it. Damage of which
nothing can be seen is not counted.
"""

import random
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Final

from engine.verdicts import Incident
from models.synthesis.coded_damage import CODECS, KINDS, plant_damage
from models.synthesis.picture_clip import read_pictures
from models.synthesis.picture_windows import coded_rate
from models.synthesis.planted import Planted

STRENGTHS: Final = (0.1, 0.2, 0.4)
DAMAGE_SECONDS: Final = 1.5
CLIP_SECONDS: Final = 5.0
# Codec and kind. Of a picture that HEVC lost libav shows nothing until the next key frame: `stream.decode_errors`.
WAYS: Final = tuple(f"{codec} {kind}" for codec in CODECS for kind in KINDS if (codec, kind) != ("hevc", "lost"))


def damage_clips(
    folder: Path,
    clips: Sequence[Path],
    seed: int,
    judge: Callable[[Sequence[Path]], dict[str, list[Incident]]],
    count: Callable[[str, str, Planted, Sequence[Incident]], Any],
    wanted: Collection[str] = WAYS,
) -> None:
    """Damage every clip in every codec and kind, and judge it.

    Args:
        folder: for the streams.
        clips: 8-bit, of CLIP_SECONDS at least.
        seed: of what is random.
        judge: incidents of each file.
        count: takes codec and kind, the clip's name, what was planted, and the incidents.
        wanted: those of WAYS to damage them in.
    """
    for clip in clips:
        pictures, rate, depth = read_pictures(clip, CLIP_SECONDS)
        if depth != 8:
            continue
        for codec in CODECS:
            for kind in KINDS:
                if f"{codec} {kind}" not in wanted:
                    continue
                rng = random.Random(f"{seed} {codec} {kind} {clip.name}")
                start = 1.2 + rng.random()
                target = folder / f"{codec}-{kind}-{clip.stem}.ts"
                planted = plant_damage(
                    target, codec, kind, pictures, rate=coded_rate(rate), start=start, end=start + DAMAGE_SECONDS,
                    strength=rng.choice(STRENGTHS), seed=rng.randrange(1 << 30),
                )  # fmt: skip
                if planted is not None:
                    count(f"{codec} {kind}", clip.name, planted, judge([target])[str(target)])
                target.unlink()
