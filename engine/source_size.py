"""Whether torn blocks can be looked for at the size that a stream's pictures are said to have had before a scaler."""

from collections.abc import Mapping

from engine.media import StreamInfo
from kernels.scaled_blocks.layout import MOST_SCALE, is_looked_at


def source_size_problem(info: StreamInfo, parameters: Mapping[str, Mapping[str, float]]) -> str:
    """Why nobody looks for them at that size; "" where it is looked for, or none is told.

    Args:
        info: what the source says is in it.
        parameters: of the stream's detectors: `source_height` and `source_width` of video.corruption.
    """
    own, video = parameters.get("video.corruption", {}), info.video
    told = int(own.get("source_width", 0.0)), int(own.get("source_height", 0.0))
    if video is None or told[1] <= 0 or video.height <= 0 or video.width <= 0:
        return ""
    sides = [("source_height", video.height, told[1], "lines")]
    if told[0] > 0:
        sides.append(("source_width", video.width, told[0], "samples"))
    for name, size, coded, unit in sides:
        if not is_looked_at(size, coded):
            return (
                f"{name} of video.corruption is {coded}, and its pictures have {size} {unit}: damage before a scaler "
                f"is looked for from 1/{MOST_SCALE} to {MOST_SCALE} times the size; give another one, or none"
            )
    return ""
