"""Compiles the CPU kernels once, before tests start side by side and each waits for its own copy of the compiler.

Run as `python tests/warm_up.py`: judges a small clip with every detector, in 8 and in 10 bit.
"""

import subprocess
import tempfile
from pathlib import Path

from media import ffmpeg_exe

from engine.detectors import all_detectors
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec


def main() -> None:
    """Make the clips, and judge them."""
    with tempfile.TemporaryDirectory(prefix="avjury-warm-") as folder:
        clips, every = [], {one.name: {} for one in all_detectors()}
        for pixels in ("yuv420p", "yuv420p10le"):
            clip = Path(folder) / f"{pixels}.mkv"
            sources = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=3", "-f", "lavfi", "-i", "sine=d=3"]
            codecs = ["-c:v", "ffv1", "-pix_fmt", pixels, "-c:a", "flac"]
            subprocess.run([ffmpeg_exe(), "-y", "-v", "error", *sources, *codecs, str(clip)], check=True, timeout=120)
            clips.append(StreamSpec(pixels, str(clip), every))
        for outcome in check(clips, EngineSettings(device="cpu")):
            if outcome.error is not None:
                raise outcome.error


if __name__ == "__main__":
    main()
