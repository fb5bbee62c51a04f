"""Which field of a picture is first by its lines: FFmpeg's idet, picture by picture."""

import re
import subprocess
from itertools import pairwise

import av
import pytest
import torch
from media import ffmpeg_exe, media_dir

from kernels.fields import COLUMNS, fields

INTERLACED = ("broken/fuzzcorpus_CAFI1_SVA_480i.264", "broken/fate_coolitnow_480i.vob",
              "broken/h264conf_PPH10I4_1080i_10bit.264", "broken/fate_interlaced_crop_360p-flag.mp4")  # fmt: skip
# idet's default of intl_thres.
THRESHOLD = 1.04


def rows(path):
    """What `fields` gives for each picture after the first, and the pictures' height."""
    found, previous, height = [], None, 0
    with av.open(str(path), metadata_errors="replace") as container:
        for frame in container.decode(video=0):
            y, u, v = frame.planes[:3]
            depth, height = frame.format.components[0].bits, y.height
            row = [y.buffer_ptr, u.buffer_ptr, v.buffer_ptr, y.line_size, u.line_size, 1, y.width, y.height, u.width,
                   u.height, depth, 0, 0]  # fmt: skip
            if previous is not None:
                measured = fields(torch.tensor([row]), torch.tensor([previous[1][:5]]))[0].tolist()
                found.append(dict(zip(COLUMNS, measured, strict=True)))
            previous = frame, row  # the frame keeps the planes
    return found, height


def by_lines(path):
    """tff, bff or neither of each picture but the first and the last."""
    found, height = rows(path)
    assert height <= 1026  # all lines are looked at, as idet does
    told = []
    for now, following in pairwise(found):
        top = now["earlier_top"] + following["later_bottom"]
        bottom = now["earlier_bottom"] + following["later_top"]
        told.append("tff" if top > THRESHOLD * bottom else "bff" if bottom > THRESHOLD * top else "neither")
    return told


def by_idet(path):
    command = [ffmpeg_exe(), "-v", "error", "-i", str(path), "-vf", "extractplanes=y,idet,metadata=print:file=-", "-f",
               "null", "-"]  # fmt: skip
    printed = subprocess.run(command, check=False, timeout=120, capture_output=True, text=True).stdout
    single = re.findall(r"idet\.single\.current_frame=(\w+)", printed)
    return [name if name in ("tff", "bff") else "neither" for name in single][1:-1]


@pytest.mark.parametrize("order", ["interleave_top", "interleave_bottom", "none"])
def test_every_picture_has_the_order_that_idet_gives_it(tmp_path, order):
    path = tmp_path / "clip.mkv"
    # Lines of a test pattern lie on even rows, which idet takes for fields where it moves.
    source, woven = ("testsrc2", f",scroll=h=0.01,tinterlace={order}") if order != "none" else ("mandelbrot", "")
    subprocess.run(
        [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", f"{source}=s=320x192:r=50{woven}", "-t", "1",
         "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(path)],
        check=True, timeout=60,
    )  # fmt: skip
    found = by_lines(path)
    assert found == by_idet(path)
    assert len(found) >= 20
    expected = {"interleave_top": "tff", "interleave_bottom": "bff", "none": "neither"}[order]
    assert found.count(expected) > 0.8 * len(found)


@pytest.mark.parametrize("clip", INTERLACED)
def test_every_picture_of_real_clips_too(clip):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    if "1080i" in clip:
        found, theirs = rows(folder / clip)[0], by_idet(folder / clip)
        # Every second pair of lines is looked at: the same verdict, from half of the sums.
        assert theirs == ["tff"] * len(theirs)
        assert all(row["earlier_top"] + row["later_bottom"] > row["earlier_bottom"] + row["later_top"] for row in found)
        return
    assert by_lines(folder / clip) == by_idet(folder / clip)
