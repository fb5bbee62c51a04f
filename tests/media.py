"""Where the real clips are, and the ffmpeg program that verdicts are compared with."""

import os
from functools import cache
from pathlib import Path


@cache
def media_dir() -> Path | None:
    """The folder of real clips (AVJURY_MEDIA, else ../shared/media beside the repository); None where it is not."""
    named = os.environ.get("AVJURY_MEDIA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "media"
    return folder if folder.is_dir() else None


@cache
def ffmpeg_exe() -> str:
    """The ffmpeg program of the test dependencies."""
    import imageio_ffmpeg  # not on the machines where only the GPU tests run

    return imageio_ffmpeg.get_ffmpeg_exe()
