"""Every Triton kernel compiles for sm_90, as its host code launches it; no sum that crosses programs is of floats."""

import re

import pytest
import torch
from compiling import launches_compiled
from frames import frame_table, random_frame, reference_table

from engine.detectors import DETECTORS
from kernels.active_area import gpu as area_gpu
from kernels.audio_stats import AudioState
from kernels.audio_stats import gpu as audio_gpu
from kernels.blockiness import gpu as blocks_gpu
from kernels.edge_width import gpu as edge_gpu
from kernels.fields import gpu as fields_gpu
from kernels.frame_stats import gpu as frame_gpu
from kernels.judge import gpu as judge_gpu
from kernels.judge.layout import DETECTOR_FIELDS, EVENT_FIELDS, EVENTS_PER_DETECTOR, RULE_FIELDS
from kernels.judge.op import new_state as new_judge_state
from kernels.sharpness import gpu as sharpness_gpu
from kernels.siti import gpu as siti_gpu
from kernels.sound_features import FEATURES, FeatureState
from kernels.sound_features import gpu as features_gpu
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

CPU = torch.device("cpu")
PICTURE = random_frame(64, 36)
FRAMES, REFERENCES = frame_table([PICTURE]), reference_table([PICTURE])
SLOTS = torch.zeros(1, dtype=torch.int64)
NUMBER = torch.zeros(1, dtype=torch.float64)
SAMPLES, CHANNELS, VALID = torch.zeros((1, 8, 4800)), torch.tensor([2]), torch.tensor([4800])


def launch_temporal():
    tiles = torch.zeros((1, len(MEASURES), TILES), dtype=torch.float64)
    return temporal_gpu.temporal(tiles, NUMBER, NUMBER, NUMBER, SLOTS, SLOTS, new_state(1), luminance_table(CPU))


def launch_audio():
    weights = torch.zeros((1, 8), dtype=torch.float64)
    state = AudioState.allocate(1, CPU).tensors()
    return audio_gpu.audio_stats(SAMPLES, CHANNELS, VALID, weights, NUMBER, SLOTS, NUMBER, state)


def launch_features():
    state = FeatureState.allocate(1, CPU)
    return features_gpu.sound_features(SAMPLES, CHANNELS, VALID, SLOTS, state.history, state.known)


def launch_trends():
    features, weights = torch.zeros((1, FEATURES), dtype=torch.float64), torch.zeros((1, 8), dtype=torch.float64)
    out = torch.zeros((1, len(TREND_COLUMNS)), dtype=torch.float64)
    trends_gpu.sound_trends(features, VALID, weights, NUMBER, SLOTS, TrendState.allocate(1, CPU).values, out)


def launch_judge():
    d = sum(declared.track == "video" for declared in DETECTORS)
    return judge_gpu.judge(
        SLOTS, NUMBER, NUMBER, torch.zeros((1, 40), dtype=torch.float64),
        torch.zeros((d, DETECTOR_FIELDS), dtype=torch.int64), torch.zeros((1, d, RULE_FIELDS), dtype=torch.float64),
        new_judge_state(1, d), torch.zeros((1, EVENTS_PER_DETECTOR * d, EVENT_FIELDS), dtype=torch.float64),
        torch.zeros(1, dtype=torch.int32), 2,
    )  # fmt: skip


LAUNCHES = {
    "frame_stats": (lambda: frame_gpu.frame_stats(FRAMES, REFERENCES, REFERENCES), 2),
    "blockiness": (lambda: blocks_gpu.blockiness(FRAMES, 64), 5),
    "edge_width": (lambda: edge_gpu.edge_width(FRAMES, 64 * 36), 5),
    "sharpness": (lambda: sharpness_gpu.sharpness(FRAMES, 64 * 36), 3),
    "tile_stats": (lambda: tile_gpu.tile_stats(FRAMES, REFERENCES), 1),
    "temporal": (launch_temporal, 1),
    "texture": (lambda: texture_gpu.texture(FRAMES), 4),
    "active_area": (lambda: area_gpu.active_area(FRAMES), 1),
    "tear": (lambda: tear_gpu.tear(FRAMES, REFERENCES, 36), 2),
    "fields": (lambda: fields_gpu.fields(FRAMES, REFERENCES), 1),
    "siti": (lambda: siti_gpu.siti(FRAMES, REFERENCES), 1),
    "torn_blocks": (lambda: torn_gpu.torn_blocks(FRAMES, REFERENCES), 2),
    "to_network": (
        lambda: network_gpu.to_network(FRAMES, REFERENCES, torch.zeros((1, 4), dtype=torch.int64), torch.bfloat16),
        1,
    ),
    "audio_stats": (launch_audio, 5),
    "sound_features": (launch_features, 4),
    "sound_trends": (launch_trends, 1),
    "judge": (launch_judge, 1),
}


@pytest.mark.parametrize("kernel", LAUNCHES)
def test_every_launch_compiles_without_floating_point_atomics(kernel):
    launch, expected = LAUNCHES[kernel]
    with launches_compiled() as compiled:
        launch()
    assert len(compiled) == expected
    for ptx in compiled.values():
        assert ".target sm_90" in ptx
        assert not re.search(r"(atom|red)\.\S*\.f(32|64)", ptx)
