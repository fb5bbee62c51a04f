"""What is planted through coders into clips of a rate that MPEG-2 does not have: a camera's 29.97 as 456000/15217."""

import subprocess
from collections import defaultdict

import pytest
from media import ffmpeg_exe

from benchmarks.damage import damage_clips
from benchmarks.planted_fields import WHAT, bench_field_order


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("odd"), []
    for name in ("one", "two"):
        made.append(folder / f"{name}.mp4")
        source = "testsrc2=size=320x240:rate=456000/15217:duration=12,rotate=a=t*2"
        command = [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-crf", "16", made[-1]]
        subprocess.run(command, check=True)
    return made


def test_its_fields_are_woven_all_the_same(tmp_path, clips):
    judged = []

    def judge(paths):
        judged.extend(paths)
        return defaultdict(list)

    (counted,) = bench_field_order(tmp_path, clips, judge, 1, lambda *_: None).values()
    assert counted.planted == 2
    # Right and wrong, in either codec.
    assert [path.suffix for path in judged] == [".mkv", ".mkv", ".ts", ".ts"]
    assert all(WHAT in path.name for path in judged)


def test_its_slices_are_lost_all_the_same(tmp_path, clips):
    counted = []
    damage_clips(
        tmp_path, clips[:1], 1, lambda _: defaultdict(list), lambda way, *rest: counted.append((way, rest[1])),
        ["mpeg2 slice"],
    )  # fmt: skip
    ((way, planted),) = counted
    assert way == "mpeg2 slice"
    assert 1.2 <= planted.start < planted.end < 8.0
