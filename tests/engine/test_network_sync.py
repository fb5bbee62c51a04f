"""Lip sync by the sync network in the engine: what it tells, when it says nothing, and that it is off by default."""

import numpy as np
import pytest
import torch
from talking_content import knowing_sync, rows_of_talk, talk

from engine.lip_sync import LipSync
from engine.media import AudioBlock
from engine.network_sync import NetworkSync
from engine.networks import sync_network_of
from engine.spec import EngineSettings, SyncNetworkSettings

LIMITS = {"late": 0.125, "early": 0.045}
CPU = torch.device("cpu")


def judged(seconds, late, *, margin=1.0, still=False, silent=False):
    """All that became known of a stream, and its network sync."""
    network = NetworkSync(knowing_sync(margin), CPU)
    sync = LipSync(None, None, "", network)
    rows = rows_of_talk(seconds, late, seed=4)
    _, sound = talk(seconds, late, seed=4)
    if silent:
        sound = sound * 0
    found = []
    for n in range(round(seconds * 10)):
        block = sound[None, 4800 * n : 4800 * (n + 1)]
        network.print.take(AudioBlock("s", n / 10, block, 4800, (1.0,), 1.0))
        now = (rows["picture_times"] >= n / 10 - 1e-9) & (rows["picture_times"] < (n + 1) / 10 - 1e-9)
        tiles = rows["tiles"][now] * (0 if still else 1)
        network.tiles.append(rows["picture_times"][now], torch.from_numpy(tiles))
        found += sync.rows(LIMITS, (n + 1) / 10)
    return found, sync


@pytest.mark.parametrize(("late", "verdict"), [(0.4, "out_of_sync"), (0.0, "in_sync"), (-0.24, "out_of_sync")])
def test_what_moves_as_it_sounds_tells_the_offset(late, verdict):
    found, sync = judged(30.0, late)
    assert found
    summary, now = sync.summary(LIMITS), sync.now(30.0, LIMITS)
    assert summary["verdict"] == now.verdict == verdict
    assert summary["offset_ms"] == pytest.approx(1000 * late, abs=40)
    assert summary["way"] == now.way == "network"
    assert 0 < summary["confidence"] <= 1
    assert all((row.sync_error > 1) == (verdict == "out_of_sync") for row in found)
    assert "by what moves" in found[0].cause


@pytest.mark.parametrize("nothing", [{"still": True}, {"silent": True}, {"margin": np.inf}])
def test_where_there_is_nothing_to_judge_by_it_is_unknown(nothing):
    found, sync = judged(24.0, 0.4, **nothing)
    assert found == []
    assert sync.summary(LIMITS)["verdict"] == "unknown"
    assert sync.now(24.0, LIMITS).verdict == "unknown"


def test_it_is_not_used_unless_asked_for():
    assert EngineSettings().sync_network is None
    assert sync_network_of(None) is None
    assert sync_network_of(SyncNetworkSettings()) is None
