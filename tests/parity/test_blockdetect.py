"""Blockiness is blockdetect's value of each picture on its own: the same number where every line is read, the same
order of pictures where lines are sampled.
"""

import re
import subprocess

import numpy as np
import pytest
from frames import frame_table, make_frame, reference_table
from media import ffmpeg_exe, media_dir

from kernels.frame_stats import COLUMNS, frame_stats, reference

NO_CHROMA = np.zeros((0, 0), np.int64)
# Below 432 rows and 768 columns all lines are read.
SMALL = ("mdn_rabbit320_240p30.mp4", "mmaction2_basketball_240p29.97.mp4", "mmaction2_test_eyemakeup_240p25.avi")
LARGE = (
    ("sadtalker_WDA_KatieHill_000.mp4", (512, 512)),
    ("mdn_crystal_480p30.mp4", (720, 480)),
    ("vsfa_golden-clock_540p29.97.mp4", (960, 540)),
    ("shaka_mp3-h264_seg1-8_promo_720p29.97.ts", (1280, 720)),
    ("media3_internal_emulator_720p29.97.mp4", (1280, 720)),
    ("latentsync_demo3_1080x1920_hevc.mp4", (1080, 1920)),
)
PICTURES = range(0, 160, 8)


def run(*arguments):
    command = [ffmpeg_exe(), "-v", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, timeout=120, capture_output=True).stdout


def pictures(clip, width, height):
    """The luma planes of the chosen pictures."""
    chosen = "+".join(f"eq(n\\,{n})" for n in PICTURES)
    filters = f"extractplanes=y,select='{chosen}'"
    raw = run("-i", clip, "-map", "0:V:0", "-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width)


def blockdetect_alone(clip, count, folder):
    """blockdetect's value of each chosen picture, each from a filter of its own: it never clears its sums."""
    names = [f"s{i}" for i in range(count)]
    graph = ["[0:V:0]extractplanes=y,split=" + str(count) + "".join(f"[{name}]" for name in names)]
    outputs = []
    for name, n in zip(names, PICTURES, strict=False):
        printed = f"blockdetect,metadata=print:file={folder / name}"
        graph.append(f"[{name}]select='eq(n\\,{n})',{printed}[{name}o]")
        outputs += ["-map", f"[{name}o]", "-frames:v", "1", "-f", "null", "-"]
    run("-i", clip, "-filter_complex", ";".join(graph), *outputs)
    return np.array([float(re.search(r"block=(\S+)", (folder / name).read_text())[1]) for name in names])


def ours(planes):
    frames = [make_frame(plane.astype(np.int64), NO_CHROMA, NO_CHROMA) for plane in planes]
    none = reference_table([None] * len(frames))
    return frame_stats(frame_table(frames), none, none)[:, COLUMNS.index("blockiness")].numpy()


def both(clip, size, folder):
    """Our values and FFmpeg's, of the pictures of which FFmpeg has one (it divides by zero for flat ones)."""
    planes = pictures(clip, *size)
    theirs = blockdetect_alone(clip, len(planes), folder)
    defined = np.isfinite(theirs)
    return ours(planes)[defined], theirs[defined]


def rank_correlation(a, b):
    return np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1]


def coded_pattern(folder, source, quality):
    """A pattern, coded more and more coarsely from picture to picture by MPEG-2, whose blocks are 8 wide."""
    clip = folder / "pattern.ts"
    run(
        "-f",
        "lavfi",
        "-i",
        source,
        "-frames:v",
        161,
        "-c:v",
        "mpeg2video",
        "-q:v",
        quality,
        "-pix_fmt",
        "yuv420p",
        clip,
    )
    return clip


def assert_same_numbers(ours_, theirs):
    assert len(theirs) >= 10
    # Our quotients are cut to 2**-13, on average by half of that. Lines without a grid have quotients of about a
    # sixth, so the mean moves by 2**-14 / (1/6) = 4e-4 of itself; on nearly flat pictures by some times that.
    np.testing.assert_allclose(ours_, theirs, rtol=3e-3)


@pytest.mark.parametrize("source", ["testsrc2=s=320x180:r=25", "mandelbrot=s=400x224:r=25"])
def test_equals_blockdetect_on_coarsely_coded_patterns(source, tmp_path):
    clip = coded_pattern(tmp_path, source, 20)
    width, height = map(int, re.search(r"s=(\d+)x(\d+)", source).groups())
    assert_same_numbers(*both(clip, (width, height), tmp_path))


@pytest.mark.parametrize("name", SMALL)
def test_equals_blockdetect_on_small_real_clips(name, tmp_path):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    width, height = {"mdn": (320, 240), "bas": (426, 240), "tes": (320, 240)}[name.replace("mmaction2_", "")[:3]]
    assert_same_numbers(*both(folder / "real_av" / name, (width, height), tmp_path))


def test_sampled_lines_order_patterns_as_blockdetect_does(tmp_path):
    clip = coded_pattern(tmp_path, "mandelbrot=s=1280x720:r=25", 24)
    mine, theirs = both(clip, (1280, 720), tmp_path)
    assert len(theirs) >= 10
    assert rank_correlation(mine, theirs) > 0.95


def test_sampled_lines_order_pictures_of_real_clips_as_blockdetect_does(tmp_path):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    pairs = [both(folder / "real_av" / name, size, tmp_path) for name, size in LARGE]
    mine, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
    assert len(theirs) > 100
    assert rank_correlation(mine, theirs) > 0.99


def test_blockdetect_itself_goes_on_adding_pictures_up(tmp_path):
    """Why our value per picture differs from the one that FFmpeg prints in a run over a clip."""
    size = 160, 120
    raw = run(
        "-f", "lavfi", "-i", "mandelbrot=s=160x120:r=25", "-frames:v", 6, "-pix_fmt", "gray", "-f", "rawvideo", "-"
    )
    (tmp_path / "gray").write_bytes(raw)
    planes = np.frombuffer(raw, np.uint8).reshape(-1, size[1], size[0]).astype(np.int64)
    source = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", "160x120", "-i", tmp_path / "gray")
    printed = run(*source, "-vf", "blockdetect,metadata=print:file=-", "-f", "null", "-").decode()
    theirs = [float(value) for value in re.findall(r"lavfi\.block=(\S+)", printed)]
    rows, columns = np.arange(1, size[1]), np.arange(1, size[0])
    across = np.cumsum([reference.edge_profile(plane, rows) for plane in planes], axis=0)
    down = np.cumsum([reference.edge_profile(plane.T, columns) for plane in planes], axis=0)
    running = [max(map(reference.strongest_period, sums)) for sums in zip(across, down, strict=True)]
    np.testing.assert_allclose(running, theirs, rtol=3e-3)
    alone = [reference.blockiness(plane, rows, columns) for plane in planes]
    assert not np.allclose(alone[1:], theirs[1:], rtol=3e-3)
