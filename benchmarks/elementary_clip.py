"""An elementary stream of tests/clips, cut into packets, as what NVDEC is fed with over and over."""

from pathlib import Path
from typing import Final

from engine.decode.headers import HeaderWatch
from engine.decode.nal import Codec, split_access_units
from engine.media import Packet, VideoInfo

_CLIPS: Final = Path(__file__).parents[1] / "tests" / "clips"
CLIP: Final = _CLIPS / "h264_1920x1080_8bit.h264"
OTHER_CLIPS: Final = (_CLIPS / "hevc_1920x1080_8bit.hevc", _CLIPS / "hevc_1920x1080_10bit.hevc")


class Clip:
    """An elementary stream, cut into packets once for all streams."""

    def __init__(self, path: Path) -> None:
        codec: Codec = "h264" if path.suffix == ".h264" else "hevc"
        units = split_access_units(path.read_bytes(), codec)
        watch = HeaderWatch(codec)
        watch.read(units[0].data)
        fmt = watch.format
        if fmt is None:
            raise ValueError(f"{path} does not begin with a sequence header")
        self.rate = fmt.frame_rate or 30.0
        self.info = VideoInfo(codec, "", fmt.width, fmt.height, "yuv420p", fmt.bit_depth, self.rate, False, None)
        self.packets = [Packet("clip", "video", None, None, 0.0, len(u.data), u.key, False, u.data) for u in units]

    def packet(self, number: int) -> Packet:
        """Packet `number` of an endless loop over the clip."""
        return self.packets[number % len(self.packets)]
