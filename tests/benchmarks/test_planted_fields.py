"""Wrong field orders that a benchmark plants, into clips of whatever rate."""

import subprocess
from collections import defaultdict

from media import ffmpeg_exe

from benchmarks.planted_fields import WHAT, bench_field_order


def test_clips_of_a_rate_that_mpeg_2_does_not_have_are_woven_all_the_same(tmp_path):
    """A camera's 29.97 is 456000/15217 in its file; half of it no MPEG-2 coder takes."""
    clips = []
    for name in ("one", "two"):
        clips.append(tmp_path / f"{name}.mp4")
        source = "testsrc2=size=320x240:rate=456000/15217:duration=12,rotate=a=t*2"
        command = [ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-crf", "16", clips[-1]]
        subprocess.run(command, check=True)
    judged = []

    def judge(paths):
        judged.extend(paths)
        return defaultdict(list)

    (counted,) = bench_field_order(tmp_path, clips, judge, 1, lambda *_: None).values()
    assert counted.planted == 2
    # Right and wrong, in either codec.
    assert [path.suffix for path in judged] == [".mkv", ".mkv", ".ts", ".ts"]
    assert all(WHAT in path.name for path in judged)
