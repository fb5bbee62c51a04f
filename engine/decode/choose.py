"""Makes a stream's decoders: NVDEC where the GPU's caps allow it, else software, and always says why."""

from dataclasses import dataclass

import torch

from engine.decode.audio import PyAvAudioDecoder
from engine.decode.base import AudioDecoder, VideoDecoder
from engine.decode.software import SoftwareVideoDecoder
from engine.media import StreamInfo


@dataclass(frozen=True, slots=True)
class Decoders:
    """What decodes a stream, and why.

    Args:
        video, audio: None where the stream has no such track, or nothing can decode it.
        reason: why this video decoder.
    """

    video: VideoDecoder | None
    audio: AudioDecoder | None
    reason: str
