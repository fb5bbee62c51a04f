"""Pictures of 8K, beside a small stream: both are judged whole by one process, which does not grow beyond its bound."""

import json
import os
import subprocess
import sys

import pytest
from live_kit import encode
from media import ffmpeg_exe
from service_process import ENVIRONMENT, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PICTURES = 6


def test_8k_is_judged_beside_a_small_stream_within_a_bound_of_memory(tmp_path, record_property):
    large = tmp_path / "large.mp4"
    command = [ffmpeg_exe(), "-y", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=7680x4320:r=25:d={PICTURES / 25}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-threads", "2", str(large)]
    subprocess.run(command, check=True, timeout=200)
    small = encode(tmp_path / "small.ts", 4)
    arguments = ["check", str(large), str(small), "--format", "jsonl", "--fail-on", "never", "--device", "cpu"]
    with subprocess.Popen([sys.executable, "-m", "engine.cli", *arguments], cwd=ROOT, env=ENVIRONMENT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as check:  # fmt: skip
        out = check.stdout.read()
        _, status, used = os.wait4(check.pid, 0)
        check.returncode = os.waitstatus_to_exitcode(status)
    assert check.returncode == 0
    summaries = [one for one in map(json.loads, out.splitlines()) if one["type"] == "summary"]
    frames = {one["stream"]: (one["frames_decoded"], one["frames_measured"]) for one in summaries}
    record_property("peak memory MB", round(used.ru_maxrss / 1024))
    assert sorted(frames.values()) == [(PICTURES, PICTURES), (100, 100)]
