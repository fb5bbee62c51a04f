"""How good the artifact network is, on pieces of clips that it was never trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.artifact_net import LABELS, ArtifactNet, network_input
from models.artifact_weights import load_artifact
from models.synthesis.tile_truth import UNKNOWN
from models.train import Pieces

_BATCH: Final = 64
_CURVE_POINTS: Final = 21
# A piece is damaged from so many of its 36 tiles on.
_DAMAGED_TILES: Final = 2

Floats = npt.NDArray[np.float64]


def load_artifact_net(path: Path) -> ArtifactNet:
    """The network with the weights of a file, for use.

    Raises: WeightsError if the file is not what it should be.
    """
    return load_artifact(path).net


def probabilities(net: ArtifactNet, luma: npt.NDArray[np.uint8], chroma: npt.NDArray[np.uint8]) -> Floats:
    """(N, TILES, TILES, labels): what the network says of pieces, as `network_input` takes them."""
    told = []
    with torch.inference_mode():
        for start in range(0, len(luma), _BATCH):
            part = slice(start, start + _BATCH)
            inputs = network_input(torch.from_numpy(luma[part]), torch.from_numpy(chroma[part]))
            logits = net(inputs.contiguous(memory_format=torch.channels_last))
            told.append(torch.sigmoid(logits).permute(0, 2, 3, 1).numpy().astype(np.float64))
    return np.concatenate(told)


def precision_recall(scores: Floats, truth: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Precision and recall at every threshold, from the highest on, and the thresholds.

    Args:
        scores, truth: (n,); equal scores count together.
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores, hits = scores[order], truth[order].cumsum()
    last = np.flatnonzero(np.append(np.diff(sorted_scores) != 0, True))
    precision = hits[last] / (last + 1.0)
    recall = hits[last] / max(1, int(truth.sum()))
    return precision, recall, sorted_scores[last]


def average_precision(precision: Floats, recall: Floats) -> float:
    """The area under the curve as steps: each rise of recall times the precision at it."""
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def figures_of(scores: Floats, truth: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Area, curve, calibration and what a threshold of one half makes of it."""
    if not truth.any() or truth.all():
        return {"positive": int(truth.sum()), "known": len(truth), "average_precision": None}
    precision, recall, _ = precision_recall(scores, truth)
    told = scores >= 0.5
    points = np.linspace(0, 1, _CURVE_POINTS)
    # Of all thresholds that reach a recall, the best precision.
    curve = [float(precision[recall >= point - 1e-12].max()) for point in points]
    bins = np.clip((scores * 10).astype(int), 0, 9)
    return {
        "positive": int(truth.sum()),
        "known": len(truth),
        "average_precision": round(average_precision(precision, recall), 4),
        "precision_at_half": round(float(truth[told].mean()), 4) if told.any() else None,
        "recall_at_half": round(float(told[truth].mean()), 4),
        "precision_at_recall": {f"{point:.2f}": round(value, 4) for point, value in zip(points, curve, strict=True)},
        "calibration": [
            {"said": round(float(scores[bins == b].mean()), 3), "was": round(float(truth[bins == b].mean()), 3),
             "tiles": int((bins == b).sum())}
            for b in range(10) if (bins == b).any()
        ],
    }  # fmt: skip


def evaluate(net: ArtifactNet, paths: list[Path]) -> Mapping[str, Any]:
    """All figures.

    Args:
        net: as `load_artifact_net` gives it.
        paths: shards of held-out clips.
    Returns: by label, over tiles; of corruption also by kind of damage, over pieces, and what clean pieces of each kind
        raise.
    """
    data = Pieces(paths)
    told = probabilities(net, data.luma, data.chroma)
    tiles = {}
    for index, label in enumerate(LABELS):
        known = data.truth[..., index] != UNKNOWN
        tiles[label] = figures_of(told[..., index][known], data.truth[..., index][known] == 1)
    confusion = {}
    for index, label in enumerate(LABELS):
        there = data.truth[..., index] == 1
        confusion[label] = {
            other: round(float((told[..., k][there & (data.truth[..., k] == 0)] >= 0.5).mean()), 3)
            for k, other in enumerate(LABELS)
            if k != index and (there & (data.truth[..., k] == 0)).any()
        }
    # A piece's score is that of its tile number _DAMAGED_TILES: one tile alone is no damage.
    flat = told[..., 0].reshape(len(told), -1)
    score = np.sort(flat, axis=1)[:, -_DAMAGED_TILES]
    damaged_tiles = (data.truth[..., 0] == 1).sum(axis=(1, 2))
    maybe = (data.truth[..., 0] == UNKNOWN).any(axis=(1, 2))
    sure = (damaged_tiles >= _DAMAGED_TILES) | ((damaged_tiles == 0) & ~maybe)
    truth = damaged_tiles >= _DAMAGED_TILES
    kinds = {}
    for kind in np.unique(data.kind):
        of = sure & (data.kind == kind)
        kinds[str(kind)] = {
            "damaged": int(truth[of].sum()), "found": int((score[of & truth] >= 0.5).sum()),
            "clean": int((~truth[of]).sum()), "false": int((score[of & ~truth] >= 0.5).sum()),
        }  # fmt: skip
    return {"clips": [path.stem for path in paths], "pieces": len(told), "tiles": tiles, "confusion": confusion,
            "damaged_pieces": figures_of(score[sure], truth[sure]), "pieces_by_kind": kinds,
            "failures": failures_of(score, truth, sure, data.kind)}  # fmt: skip


def failures_of(
    scores: Floats, truth: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_], kinds: npt.NDArray[Any], most: int = 8
) -> dict[str, list[dict[str, Any]]]:
    """The true ones with the lowest scores, and the others with the highest, of those that are known.

    Args:
        scores, truth, known: (n,).
        kinds: (n,) how each was made.
        most: of each.
    Returns: by "missed" and "false" which they are, how they were made, and what was said; the worst first.
    """
    found = {}
    for name, of, sign in (("missed", known & truth, 1), ("false", known & ~truth, -1)):
        index = np.flatnonzero(of)
        worst = index[np.argsort(sign * scores[index], kind="stable")[:most]]
        found[name] = [{"number": int(n), "kind": str(kinds[n]), "said": round(float(scores[n]), 4)} for n in worst]
    return found
