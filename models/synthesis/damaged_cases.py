"""Pictures of coded streams that lost or changed bytes, as a decoder shows them, with their truth."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from models.artifact_net import LABELS, TILE
from models.synthesis.coded_anew import Anew, coded_anew, some_way, truth_behind
from models.synthesis.coded_damage import VISIBLE_ERROR, damage_stream
from models.synthesis.coded_pictures import decoded_pictures
from models.synthesis.picture import Picture
from models.synthesis.picture_windows import LONG
from models.synthesis.tile_truth import UNKNOWN, Case, apart, clean_truth, colour_apart, graded, unsure
from models.synthesis.what_shows import shows


def damaged_cases(
    pictures: Sequence[Picture], rate: Fraction, codec: str, kind: str, rng: np.random.Generator, each: int,
    whole: int = 1, lead: Sequence[Picture] | None = None, anew: float = 0.0, least: int = TILE,
) -> Iterator[Case]:  # fmt: skip
    """Pictures of a coded stream that lost or changed bytes, as the decoder, or a transcoder behind it, shows them.

    Args:
        pictures: of a window.
        rate: pictures per second.
        codec, kind: see coded_damage.
        rng: of what is random.
        each: most pictures.
        whole: so many of them are as they were sent; of several, those right behind damaged ones first.
        lead: what was shown before the window; None: cases come without what was shown before.
        anew: how often they are coded anew, from 0 to 1.
        least: rows, and columns, that pictures have at least which are coded anew.
    """
    strength = float(rng.choice([0.05, 0.15, 0.3, 0.6]))
    sent, spoilt = damage_stream(
        pictures, codec, kind, rate=rate, start=0.15 * LONG / float(rate), end=0.9 * LONG / float(rate),
        strength=strength, seed=int(rng.integers(1 << 30)), every=float(rng.choice([0.25, 0.5])) * LONG / float(rate),
        gop_seconds=float(rng.choice([0.5, 1.0, 2.0])), coder=_some_coder(codec, rng),
    )  # fmt: skip
    clean, shown = dict(decoded_pictures(sent)), list(decoded_pictures(spoilt))
    # No number is drawn where nothing is coded anew, so that the same cases come out as before there was such a thing.
    way = some_way(pictures[0][0].shape, least, rng) if anew and rng.random() < anew else None
    seen_as = _behind(way, lead or (), shown, rate)
    if not seen_as:
        return
    places = [
        index
        for index, (a, b) in enumerate(pairwise(shown))
        if b[0] in clean and a[1][0].shape == b[1][0].shape == clean[b[0]][0].shape
    ]
    pairs = [(shown[index], shown[index + 1]) for index in places]
    errors = [apart(now[1][0], clean[now[0]][0]) for _, now in pairs]
    colours = [colour_apart(now[1], clean[now[0]]) for _, now in pairs]
    # Chroma counts as luma does: what turned green is seen.
    bad = [np.maximum(e, c) for e, c in zip(errors, colours, strict=True)]
    seen = [k for k, b in enumerate(bad) if (b >= VISIBLE_ERROR).any()]
    rest = [k for k, b in enumerate(bad) if (b < 3.0).all()]
    kept = [int(k) for k in rng.permutation(rest)]
    if whole > 1:
        kept.sort(key=lambda k: k - 1 not in seen)
    chosen = [*rng.permutation(seen)[: each - whole], *kept[:whole]]
    for k in chosen:
        now = pairs[int(k)][1][1]
        truth = graded(clean_truth(now), "corruption", bad[int(k)], 3.0, VISIBLE_ERROR)
        at = pairs[int(k)][1][0]
        others = (sent for time, sent in clean.items() if time != at)
        damaged = truth[..., 0] == 1
        truth[damaged & ~shows(now, clean[at], others, damaged), 0] = UNKNOWN
        place = places[int(k)] + len(lead or ())
        if way is None:
            truth = unsure(truth, LABELS[1:], truth[..., 0] > 0)
        else:
            truth = unsure(truth_behind(truth, now[0].shape, way), LABELS[1:])
        before = () if lead is None else seen_as[:place]
        yield Case(seen_as[place], seen_as[place + 1], truth, f"{codec} {kind}", before)


def _behind(
    way: Anew | None, lead: Sequence[Picture], shown: Sequence[tuple[float, Picture]], rate: Fraction
) -> list[Picture]:
    """What was shown before a window and what the decoder shows of it, as it is seen; nothing where that is not all."""
    pictures = [*lead, *(picture for _, picture in shown)]
    if way is None:
        return pictures
    if len({picture[0].shape for picture in pictures}) != 1:
        return []
    behind = coded_anew(pictures, rate, way)
    return behind if len(behind) == len(pictures) else []


def _some_coder(codec: str, rng: np.random.Generator) -> Mapping[str, str]:
    """Options of an encoder, as broadcasters' differ: slices, quality and tools."""
    slices, quality = int(rng.choice([1, 2, 4, 8])), int(rng.integers(18, 33))
    preset = str(rng.choice(["ultrafast", "veryfast", "fast"]))
    if codec == "h264":
        return {"crf": str(quality), "preset": preset, "slices": str(slices)}
    if codec == "hevc":
        return {"crf": str(quality), "x265-params": f"log-level=none:slices={min(slices, 3)}:open-gop=0"}
    return {}
