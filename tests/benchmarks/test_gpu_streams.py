"""Paced streams over a stand-in of the driver, whose device memory is the host's: the figures' own arithmetic."""

import json

from fake_driver import over_fake_driver  # noqa: F401 - a fixture

SCRIPT = """
import json, torch
from benchmarks.elementary_clip import CLIP, Clip
from benchmarks.gpu_streams import PacedStreams, judge_paced
from engine.decode.nvdec_pool import DecoderPool
from pathlib import Path

clip = Clip(Path(CLIP).with_name("h264_320x180_8bit.h264"))
pool = DecoderPool(0)
streams = PacedStreams(pool, clip, 3, silent=1, rate=clip.rate)
try:
    found = judge_paced(torch.device("cpu"), streams, 3, 2.0)
finally:
    streams.stop()
pool.close()
print(json.dumps({**found, "late": streams.late, "rate": clip.rate}))
"""


def test_streams_come_at_their_own_rate_and_a_silent_one_does_not_hold_the_others(over_fake_driver):  # noqa: F811
    done = over_fake_driver(SCRIPT)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    silent, *others = found["by_stream"]
    assert silent == 0
    # A machine that others keep busy gives less, never more.
    assert all(0 < rate <= 1.1 * found["rate"] for rate in others)
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
