"""How good the audio network is, on windows of sources that it was never trained on."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.audio_labels import LABELS
from models.audio_net import AudioNet
from models.evaluate import failures_of, figures_of
from models.synthesis.sound_cases import UNKNOWN
from models.train_audio import Windows

_BATCH: Final = 32
# Shares of clean windows that may be called damaged, for which the share that is found is told.
_FALSE_SHARES: Final = (0.001, 0.01, 0.05)

_SHORT: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16}

Floats = npt.NDArray[np.float64]


def said_of(net: AudioNet, data: Windows) -> Floats:
    """(N, labels): what the network says of kept windows."""
    told = []
    with torch.inference_mode():
        for start in range(0, len(data.mel), _BATCH):
            logits = net(data.heard(np.arange(start, min(start + _BATCH, len(data.mel)))))
            told.append(torch.sigmoid(logits).numpy().astype(np.float64))
    return np.concatenate(told)


def evaluate_audio(net: AudioNet, paths: list[Path]) -> Mapping[str, Any]:
    """All figures.

    Args:
        net: folded.
        paths: shards of held-out sources.
    Returns: by label what `figures_of` tells, with what is found at a few shares of false ones; what each kind of
        window is taken for; what numbers of 16 bits change; and the sources.
    """
    data = Windows(paths)
    told = said_of(net, data)
    labels: dict[str, Any] = {}
    for index, label in enumerate(LABELS):
        known = data.truth[:, index] != UNKNOWN
        scores, truth = told[known, index], data.truth[known, index] == 1
        labels[label] = figures_of(scores, truth) | {"found_at_false_share": _found_at(scores, truth)}
    made = np.array([path.stem.startswith("made-") for path in paths])[data.source]
    return {
        "sources": [path.stem for path in paths],
        "windows": len(told),
        "labels": labels,
        "labels_of_real_sources": {
            label: figures_of(told[known, index], data.truth[known, index] == 1)["average_precision"]
            for index, label in enumerate(LABELS)
            for known in [(data.truth[:, index] != UNKNOWN) & ~made]
        },
        "taken_for": _taken_for(told, data.truth),
        "in_16_bits": {name: _changed(net, dtype, data, told) for name, dtype in _SHORT.items()},
        "failures": {
            label: failures_of(told[:, index], data.truth[:, index] == 1, data.truth[:, index] != UNKNOWN, data.kind, 4)
            for index, label in enumerate(LABELS)
        },
    }


def _changed(net: AudioNet, dtype: torch.dtype, data: Windows, told: Floats) -> dict[str, Any]:
    """How far convolutions in numbers of 16 bits, as on a GPU, say something else; all of it on the CPU."""
    short = said_of(copy.deepcopy(net).convolutions_to(dtype), data)
    apart = np.abs(short - told)
    labels = {}
    for index, label in enumerate(LABELS):
        known = data.truth[:, index] != UNKNOWN
        labels[label] = {
            **_distances(apart[:, index]),
            "average_precision": figures_of(short[known, index], data.truth[known, index] == 1)["average_precision"],
        }
    changed = int(((short >= 0.5) != (told >= 0.5)).sum())
    return {**_distances(apart), "scores": apart.size, "on_the_other_side_of_one_half": changed, "labels": labels}


def _distances(apart: Floats) -> dict[str, float]:
    return {"largest": round(float(apart.max()), 5), "p99": round(float(np.quantile(apart, 0.99)), 5)}


def _found_at(scores: Floats, truth: npt.NDArray[np.bool_]) -> dict[str, float | None]:
    """The share of the true ones that is found where so many of the false ones are called true."""
    false = np.sort(scores[~truth])[::-1]
    if not len(false) or not truth.any():
        return {}
    return {
        f"{share:g}": round(float((scores[truth] > false[min(len(false) - 1, int(share * len(false)))]).mean()), 4)
        for share in _FALSE_SHARES
    }


def _taken_for(told: Floats, truth: npt.NDArray[np.uint8]) -> dict[str, dict[str, float]]:
    """Of the windows with one label, the share that is also told another that they do not have."""
    found: dict[str, dict[str, float]] = {}
    for index, label in enumerate(LABELS):
        there = truth[:, index] == 1
        found[label] = {
            other: round(float((told[without, k] >= 0.5).mean()), 3)
            for k, other in enumerate(LABELS)
            for without in [there & (truth[:, k] == 0)]
            if k != index and without.any()
        }
    return found
