"""Something that is bright while it sounds, and a sync network that knows so without having been trained."""

import numpy as np
import torch

from models.sync_net import SyncNet
from models.sync_signals import BANDS
from models.sync_weights import Sync
from models.synthesis.sync_clip import band_rows, tile_rows


def talk(seconds, late, seed):
    """Pictures of 90x160 at 25 a second, and sound at 48 kHz that is `late` seconds later."""
    rng = np.random.default_rng(seed)
    parts = rng.random(round((seconds + 8) * 6)) < 0.5
    opened = np.repeat(parts.astype(float), 8)[: round((seconds + 4) * 50)]  # 50 a second, from -2 s on
    pictures = np.full((round(seconds * 25), 90, 160), 90, np.uint8)
    pictures += rng.integers(0, 3, pictures.shape, dtype=np.uint8)
    for n, picture in enumerate(pictures):
        picture[50:70, 60:100] = 60 + round(120 * opened[round(2 * n + 100)])
    at = np.arange(round(seconds * 48_000)) / 48_000 - late
    level = opened[np.clip(np.round((at + 2) * 50).astype(int), 0, len(opened) - 1)]
    sound = (0.3 * level + 0.002) * rng.standard_normal(len(at))
    return pictures, sound.astype(np.float32)


def rows_of_talk(seconds, late, seed):
    """The same as rows for the sync network."""
    pictures, sound = talk(seconds, late, seed)
    times, bands = band_rows(sound[None])
    tiles = np.stack([tile_rows(picture, 256) for picture in pictures])
    return {"picture_times": np.arange(len(pictures)) / 25, "tiles": tiles, "sound_times": times, "bands": bands}


def knowing_sync(margin=1.0):
    """Its vectors are +1 or -1: brighter than usual, and louder than usual."""
    net = SyncNet()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        levels = {net.motion: slice(25, 50), net.sound: [part * 2 * BANDS + band for part in range(4)
                                                         for band in range(BANDS)]}  # fmt: skip
        for tower, rows in levels.items():
            first, second, third = (tower.layers[k] for k in (0, 3, 6))
            first.weight[0, rows, 2], first.weight[1, rows, 2] = 1.0, -1.0
            for channel in (0, 1):
                second.weight[channel, channel, 2] = 1.0
            third.weight[0, 0, 2], third.weight[0, 1, 2] = 1.0, -1.0
            third.bias[1] = 0.05
        net.scale.fill_(3.0)
    return Sync(net.eval().requires_grad_(False), margin, 2.0, -1.0, "test")
