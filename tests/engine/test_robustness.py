"""Clean content raises nothing and is judged picture by picture, whatever its size, rate, depth, layout and codec."""

import subprocess

import numpy as np
import pytest
from made_sound import noise_like, speech_like
from media import ffmpeg_exe
from moving_content import write_master

from benchmarks.clean_content import FIT
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

SECONDS = 3


def h264(pixels, *more):
    # Without x264's tree of macroblocks, whose AVX-512 code gives other bytes from run to run.
    same = ("-x264-params", "mbtree=0")
    return ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", *same, "-pix_fmt", pixels, *more)


def hevc(pixels):
    return (
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-crf",
        "18",
        "-x265-params",
        "log-level=error",
        "-pix_fmt",
        pixels,
    )


def lossless(pixels):
    return ("-c:v", "ffv1", "-pix_fmt", pixels)


SMALL = "scale=480:270,fps=25"
DROP = "select='not(eq(mod(n\\,7)\\,3))'"
HALVE = "select='lt(t\\,1.5)+not(mod(n\\,2))'"
# Filters, coding, suffix; pictures where it is not a constant rate's.
CODED = {
    "8 bit 4:2:0": (SMALL, h264("yuv420p"), ".mp4", 75),
    "8 bit 4:2:2": (SMALL, h264("yuv422p"), ".mp4", 75),
    "8 bit 4:4:4": (SMALL, h264("yuv444p"), ".mp4", 75),
    "8 bit grey": (SMALL, h264("gray"), ".mp4", 75),
    "10 bit 4:2:0": (SMALL, hevc("yuv420p10le"), ".mp4", 75),
    "10 bit 4:2:2": (SMALL, h264("yuv422p10le"), ".mp4", 75),
    "10 bit 4:4:4": (SMALL, h264("yuv444p10le"), ".mp4", 75),
    "12 bit 4:2:0": (SMALL, hevc("yuv420p12le"), ".mp4", 75),
    "12 bit 4:4:4": (SMALL, hevc("yuv444p12le"), ".mp4", 75),
    "16 bit 4:4:4": (SMALL, lossless("yuv444p16le"), ".mkv", 75),
    "4:1:0": (SMALL, lossless("yuv410p"), ".mkv", 75),
    "4:4:0": (SMALL, lossless("yuv440p"), ".mkv", 75),
    "with alpha": (SMALL, lossless("yuva420p"), ".mkv", 75),
    "RGB": (SMALL, lossless("gbrp10le"), ".mkv", 75),
    "packed": (SMALL, ("-c:v", "rawvideo", "-pix_fmt", "uyvy422"), ".mov", 75),
    "full range": ("scale=480:270:out_range=pc,fps=25", h264("yuv420p", "-color_range", "pc"), ".mp4", 75),
    **{
        f"{rate} pictures/s": (f"scale=480:270,fps={rate}", h264("yuv420p"), suffix, pictures)
        for rate, suffix, pictures in (
            ("24", ".mp4", 72), ("24000/1001", ".ts", 72), ("25", ".ts", 75), ("30000/1001", ".ts", 90),
            ("30", ".mkv", 90), ("48", ".mp4", 144), ("50", ".ts", 150), ("60000/1001", ".ts", 180),
            ("60", ".mp4", 180), ("5", ".mp4", 15),
        )
    },
    "24 in 60": ("scale=480:270,fps=24,fps=60", h264("yuv420p"), ".ts", 180),
    "25 in 50": ("scale=480:270,fps=25,fps=50", h264("yuv420p"), ".ts", 150),
    "24 in 30": ("scale=480:270,fps=24,fps=30", h264("yuv420p"), ".ts", 90),
    "pictures left out": (f"scale=480:270,fps=30,{DROP}", h264("yuv420p", "-fps_mode", "vfr"), ".mkv", None),
    "rate that halves": (f"scale=480:270,fps=50,{HALVE}", h264("yuv420p", "-fps_mode", "vfr"), ".mp4", None),
    "interlaced": ("scale=720:576,fps=50,interlace", h264("yuv420p", "-flags", "+ildct+ilme", "-x264opts", "tff=1"),
                   ".ts", 75),
    "2:3 pulldown": ("scale=720:480,fps=24000/1001,telecine",
                     ("-c:v", "mpeg2video", "-q:v", "3", "-flags", "+ildct+ilme"), ".ts", 90),
    "anamorphic 576": ("scale=720:576,setsar=64/45,fps=25", h264("yuv420p"), ".ts", 75),
    "anamorphic 1440": ("scale=1440:1080,setsar=4/3,fps=25", h264("yuv420p"), ".ts", 75),
    **{
        f"{width}x{height}": (f"{FIT.format(width, height)},fps=25", h264("yuv420p"), ".mp4", 75)
        for width, height in ((256, 144), (426, 240), (640, 360), (854, 480), (1280, 720), (1920, 1080), (3840, 2160),
                              (608, 1080), (16, 16), (1000, 50), (50, 1000))
    },
    **{
        f"odd {width}x{height}": (f"scale={width + 1}:{height + 1},crop={width}:{height}:exact=1,fps=25",
                                  lossless("yuv420p"), ".mkv", 75)
        for width, height in ((427, 241), (641, 361), (1281, 719), (35, 19), (5, 201))
    },
}  # fmt: skip
QUICK = ("10 bit 4:2:2", "odd 427x241", "pictures left out", "24 in 30")


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    return write_master(tmp_path_factory.mktemp("master") / "master.mov", seconds=SECONDS)


def coded(master, path, filters, options):
    command = [ffmpeg_exe(), "-y", "-v", "error", "-i", str(master), "-vf", filters, *options]
    subprocess.run([*command, "-c:a", "aac", "-threads", "2", str(path)], check=True, timeout=120)


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in CODED])
def test_clean_pictures_raise_nothing_and_each_is_measured(tmp_path, master, name):
    filters, options, suffix, pictures = CODED[name]
    path = tmp_path / f"clip{suffix}"
    coded(master, path, filters, options)
    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    summary = outcome.summary
    assert summary.frames_measured == summary.frames_decoded
    assert summary.decode_errors == 0
    # Two pictures more or less at the ends, by what the rate's conversion does there.
    assert summary.frames_decoded == pytest.approx(pictures, abs=2) if pictures else summary.frames_decoded > 50
    assert [(i.detector, i.start) for i in outcome.incidents] == []


def of_channels(count, seconds):
    """(count, n): speech in front, its low notes in the LFE, surf around."""
    front = speech_like(seconds)
    if count == 1:
        return front[:1]
    around = np.concatenate([noise_like(seconds, seed=5), noise_like(seconds, seed=6)])
    middle = front.mean(axis=0, keepdims=True)
    low = np.cumsum(middle, axis=1)
    low = (0.05 * low / np.abs(low).max()).astype(np.float32)
    return {2: front, 6: np.concatenate([front, middle, low, around[:2]]),
            8: np.concatenate([front, middle, low, around])}[count]  # fmt: skip


@pytest.mark.parametrize(("count", "layout"), [(1, "mono"), (2, "stereo"), (6, "5.1"), (8, "7.1")])
def test_clean_sound_of_any_layout_raises_nothing(tmp_path, count, layout):
    path = tmp_path / "sound.flac"
    raw = of_channels(count, 13.0).T.astype("<f4").tobytes()
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "f32le", "-ar", "48000", "-ac", str(count), "-i", "-"]
    command += ["-af", f"aformat=channel_layouts={layout}", str(path)]
    subprocess.run(command, input=raw, check=True, timeout=60)
    [outcome] = check([StreamSpec("clip", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    assert outcome.summary.audio_seconds == pytest.approx(13.0, abs=0.001)
    assert [(i.detector, i.start) for i in outcome.incidents if i.cause != "absent_track"] == []
