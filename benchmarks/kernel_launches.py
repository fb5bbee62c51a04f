"""Every Triton kernel as its host code launches it, on tensors of the CPU: to be compiled for a GPU that is not there.

Nothing runs here, so the pictures may lie nowhere.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from engine.detectors import DETECTORS
from kernels.active_area import gpu as area_gpu
from kernels.audio_stats import AudioState
from kernels.audio_stats import gpu as audio_gpu
from kernels.blockiness import gpu as blocks_gpu
from kernels.coded_pieces import CROP_FIELDS as CODED_CROP_FIELDS
from kernels.coded_pieces import gpu as pieces_gpu
from kernels.edge_width import gpu as edge_gpu
from kernels.fields import gpu as fields_gpu
from kernels.frame_stats import gpu as frame_gpu
from kernels.jitter import gpu as jitter_gpu
from kernels.judge import gpu as judge_gpu
from kernels.judge.layout import DETECTOR_FIELDS, EVENT_FIELDS, EVENTS_PER_DETECTOR, RULE_FIELDS
from kernels.judge.op import new_state as new_judge_state
from kernels.layout import FRAME_FIELDS, REFERENCE_FIELDS
from kernels.scaled_blocks import gpu as scaled_gpu
from kernels.sharpness import gpu as sharpness_gpu
from kernels.siti import gpu as siti_gpu
from kernels.sound_features import FEATURES, FeatureState
from kernels.sound_features import gpu as features_gpu
from kernels.sound_repeats import COLUMNS as REPEAT_COLUMNS
from kernels.sound_repeats import RepeatState
from kernels.sound_repeats import gpu as repeats_gpu
from kernels.sound_trends import COLUMNS as TREND_COLUMNS
from kernels.sound_trends import TrendState
from kernels.sound_trends import gpu as trends_gpu
from kernels.tear import gpu as tear_gpu
from kernels.temporal import gpu as temporal_gpu
from kernels.temporal import new_state
from kernels.temporal.op import luminance_table
from kernels.texture import gpu as texture_gpu
from kernels.tile_stats import MEASURES, TILES
from kernels.tile_stats import gpu as tile_gpu
from kernels.to_network import gpu as network_gpu
from kernels.torn_blocks import gpu as torn_gpu

_CPU: Final = torch.device("cpu")
_FRAMES: Final = torch.zeros((1, FRAME_FIELDS), dtype=torch.int64)
_REFERENCES: Final = torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64)
_SLOTS: Final = torch.zeros(1, dtype=torch.int64)
_NUMBER: Final = torch.zeros(1, dtype=torch.float64)
_SAMPLES: Final = torch.zeros((1, 8, 4800))
_CHANNELS, _VALID = torch.tensor([2]), torch.tensor([4800])
_CROPS: Final = torch.zeros((1, 4), dtype=torch.int64)
_CODED: Final = torch.zeros((1, 2), dtype=torch.int64)
_CODED_CROPS: Final = torch.zeros((1, CODED_CROP_FIELDS), dtype=torch.int64)
WIDTH: Final = 1920
HEIGHT: Final = 1080
# What lasts from launch to launch.
_TEMPORAL: Final = new_state(1, "cpu")
_AUDIO: Final = AudioState.allocate(1, _CPU).tensors()
_FEATURES: Final = FeatureState.allocate(1, _CPU)
_TRENDS: Final = TrendState.allocate(1, _CPU).values
_DETECTORS: Final = sum(declared.track == "video" for declared in DETECTORS)
_JUDGE: Final = new_judge_state(1, _DETECTORS)


def _temporal() -> Tensor:
    tiles = torch.zeros((1, len(MEASURES), TILES), dtype=torch.float64)
    numbers = _NUMBER, _NUMBER, _NUMBER, _NUMBER
    return temporal_gpu.temporal(tiles, *numbers, _SLOTS, _SLOTS, _TEMPORAL, luminance_table(_CPU))


def _audio() -> Tensor:
    weights = torch.zeros((1, 8), dtype=torch.float64)
    return audio_gpu.audio_stats(_SAMPLES, _CHANNELS, _VALID, weights, _NUMBER, _SLOTS, _NUMBER, _AUDIO)


def _features() -> Tensor:
    return features_gpu.sound_features(_SAMPLES, _CHANNELS, _VALID, _SLOTS, _FEATURES.history, _FEATURES.known)


def _trends() -> None:
    features, weights = torch.zeros((1, FEATURES), dtype=torch.float64), torch.zeros((1, 8), dtype=torch.float64)
    out = torch.zeros((1, len(TREND_COLUMNS)), dtype=torch.float64)
    trends_gpu.sound_trends(features, _VALID, weights, _NUMBER, _SLOTS, _TRENDS, out)


def _repeats() -> None:
    state, out = RepeatState.allocate(1), torch.zeros((1, len(REPEAT_COLUMNS)), dtype=torch.float64)
    repeats_gpu.sound_repeats(_SAMPLES, _CHANNELS, _VALID, _SLOTS, state.ring, state.coarse, state.scalars, out)


def _judge() -> None:
    d = _DETECTORS
    judge_gpu.judge(
        _SLOTS, _NUMBER, _NUMBER, torch.zeros((1, 40), dtype=torch.float64),
        torch.zeros((d, DETECTOR_FIELDS), dtype=torch.int64), torch.zeros((1, d, RULE_FIELDS), dtype=torch.float64),
        _JUDGE, torch.zeros((1, EVENTS_PER_DETECTOR * d, EVENT_FIELDS), dtype=torch.float64),
        torch.zeros(1, dtype=torch.uint8), 2,
    )  # fmt: skip


LAUNCHES: Final[dict[str, tuple[Callable[[], Any], int]]] = {
    "frame_stats": (lambda: frame_gpu.frame_stats(_FRAMES, _REFERENCES, _REFERENCES), 2),
    "blockiness": (lambda: blocks_gpu.blockiness(_FRAMES, WIDTH), 5),
    "edge_width": (lambda: edge_gpu.edge_width(_FRAMES, WIDTH * HEIGHT), 5),
    "sharpness": (lambda: sharpness_gpu.sharpness(_FRAMES, WIDTH * HEIGHT), 3),
    "tile_stats": (lambda: tile_gpu.tile_stats(_FRAMES, _REFERENCES), 1),
    "temporal": (_temporal, 1),
    "texture": (lambda: texture_gpu.texture(_FRAMES), 4),
    "active_area": (lambda: area_gpu.active_area(_FRAMES), 1),
    "tear": (lambda: tear_gpu.tear(_FRAMES, _REFERENCES, HEIGHT), 2),
    "jitter": (lambda: jitter_gpu.jitter(_FRAMES), 1),
    "fields": (lambda: fields_gpu.fields(_FRAMES, _REFERENCES), 1),
    "siti": (lambda: siti_gpu.siti(_FRAMES, _REFERENCES), 1),
    "torn_blocks": (lambda: torn_gpu.torn_blocks(_FRAMES, _REFERENCES), 2),
    "scaled_blocks": (lambda: scaled_gpu.scaled_blocks(_FRAMES, _REFERENCES, _CODED), 2),
    "to_network": (lambda: network_gpu.to_network(_FRAMES, _REFERENCES, _CROPS, torch.bfloat16), 1),
    "to_network in float16": (lambda: network_gpu.to_network(_FRAMES, _REFERENCES, _CROPS, torch.float16), 1),
    "coded_pieces": (lambda: pieces_gpu.coded_pieces(_FRAMES, _REFERENCES, _CODED_CROPS), 1),
    "audio_stats": (_audio, 5),
    "sound_features": (_features, 4),
    "sound_trends": (_trends, 1),
    "sound_repeats": (_repeats, 3),
    "judge": (_judge, 1),
}
"""By name: what launches them, and how many kernels that are."""
