"""Blockiness is blockdetect's value of each picture on its own: the same number."""

import re
import subprocess

import av
import numpy as np
import pytest
from frames import frame_table, make_frame
from media import ffmpeg_exe, media_dir

from kernels.blockiness import COLUMNS, blockiness, reference

NO_CHROMA = np.zeros((0, 0), np.int64)
CLIPS = (
    "mdn_rabbit320_240p30.mp4",
    "mmaction2_test_eyemakeup_240p25.avi",
    "mdn_crystal_480p30.mp4",
    "latentsync_demo2_1080x1920_hevc.mp4",
)
PICTURES = range(0, 160, 8)
ONE_THREAD = ("-threads", "1")  # concealment of damage depends on how many there are


def run(*arguments):
    command = [ffmpeg_exe(), "-v", "error", *map(str, arguments)]
    return subprocess.run(command, check=True, timeout=120, capture_output=True).stdout


def size_of(clip):
    """Height and width."""
    with av.open(str(clip), metadata_errors="replace") as container:
        return container.streams.video[0].height, container.streams.video[0].width


def pictures(clip):
    """The luma planes of the chosen pictures."""
    chosen = "+".join(f"eq(n\\,{n})" for n in PICTURES)
    filters = f"extractplanes=y,select='{chosen}'"
    options = ("-map", "0:V:0", "-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo")
    raw = run(*ONE_THREAD, "-i", clip, *options, "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, *size_of(clip))


def blockdetect_alone(clip, count, folder):
    """blockdetect's value of each chosen picture, each from a filter of its own: it never clears its sums."""
    names = [f"s{i}" for i in range(count)]
    graph = ["[0:V:0]extractplanes=y,split=" + str(count) + "".join(f"[{name}]" for name in names)]
    outputs = []
    for name, n in zip(names, PICTURES, strict=False):
        printed = f"blockdetect,metadata=print:file={folder / name}"
        graph.append(f"[{name}]select='eq(n\\,{n})',{printed}[{name}o]")
        outputs += ["-map", f"[{name}o]", "-frames:v", "1", "-f", "null", "-"]
    run(*ONE_THREAD, "-i", clip, "-filter_complex", ";".join(graph), *outputs)
    return np.array([float(re.search(r"block=(\S+)", (folder / name).read_text())[1]) for name in names])


def ours(planes):
    frames = [make_frame(plane.astype(np.int64), NO_CHROMA, NO_CHROMA) for plane in planes]
    return blockiness(frame_table(frames))[:, COLUMNS.index("blockiness")].numpy()


def both(clip, folder):
    """Our values and FFmpeg's, of the pictures of which FFmpeg has one (it divides by zero for flat ones)."""
    planes = pictures(clip)
    theirs = blockdetect_alone(clip, len(planes), folder)
    defined = np.isfinite(theirs)
    return ours(planes)[defined], theirs[defined]


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


def assert_same_numbers(ours_, theirs, least=10):
    assert len(theirs) >= least
    # Our quotients are cut to 2**-16, on average by half of that. Lines without a grid have quotients of about a
    # sixth, so the mean moves by 2**-17 / (1/6) = 5e-5 of itself; on nearly flat pictures by some times that. FFmpeg
    # prints six decimals.
    np.testing.assert_allclose(ours_, theirs, rtol=5e-4)


@pytest.mark.parametrize("source", ["testsrc2=s=320x180:r=25", "mandelbrot=s=1280x720:r=25"])
def test_equals_blockdetect_on_coarsely_coded_patterns(source, tmp_path):
    assert_same_numbers(*both(coded_pattern(tmp_path, source, 20), tmp_path))


@pytest.mark.parametrize("name", CLIPS)
def test_equals_blockdetect_on_real_clips(name, tmp_path):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    assert_same_numbers(*both(folder / "real_av" / name, tmp_path))


def all_clips():
    folder = media_dir()
    return [] if folder is None else sorted((folder / "real_av").iterdir())


def deep(path):
    with av.open(str(path), metadata_errors="replace") as container:
        return not container.streams.video or container.streams.video[0].format.components[0].bits > 8


@pytest.mark.slow
@pytest.mark.parametrize("path", all_clips(), ids=lambda path: path.name)
def test_equals_blockdetect_on_every_clip(path, tmp_path):
    if deep(path):
        pytest.skip("FFmpeg brings more than 8 bits down in its own way")
    assert_same_numbers(*both(path, tmp_path), least=1)


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
    across = np.cumsum([reference.edge_profile(plane[1:]) for plane in planes], axis=0)
    down = np.cumsum([reference.edge_profile(plane[:, 1:].T) for plane in planes], axis=0)
    running = [max(map(reference.strongest_period, sums)) for sums in zip(across, down, strict=True)]
    np.testing.assert_allclose(running, theirs, rtol=3e-3)
    alone = [reference.block_ratio(plane) for plane in planes]
    assert not np.allclose(alone[1:], theirs[1:], rtol=3e-3)
