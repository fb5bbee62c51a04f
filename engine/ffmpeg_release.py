"""Which FFmpeg reads what strangers send, and whether its known flaws are mended."""

# CVE-2026-107695 (a playlist that names itself), -107697 and -107698 are mended in it.
SAFE_FFMPEG = (8, 1, 3)


def ffmpeg_in_use() -> str | None:
    """The version of the libraries that PyAV brings, as they say it; None where PyAV does not load."""
    try:
        import av
    except ImportError:
        return None
    return str(av.ffmpeg_version_info)


def ffmpeg_warning(number: str) -> str | None:
    """What is wrong with an FFmpeg version; None where nothing is known to be.

    Args:
        number: as FFmpeg says it ("8.1.2", "n7.1", "N-118000-gabcdef" for a build between releases).
    """
    digits = number.removeprefix("n").partition("-")[0].split(".")
    if not all(part.isdigit() for part in digits):
        return f"FFmpeg {number} is no release: make sure that it holds the fixes of 8.1.3"
    if tuple(int(part) for part in digits) >= SAFE_FFMPEG:
        return None
    return f"FFmpeg {number} is older than 8.1.3, which mends flaws in playlists: open trusted inputs only"
