"""Makes a stream's decoders: NVDEC where the GPU's caps allow it, else software, and always says why."""

import logging
from dataclasses import dataclass
from typing import Final

import torch

from engine.decode.audio import SoftwareAudioDecoder
from engine.decode.base import AudioDecoder, VideoDecoder
from engine.decode.caps import DecoderCaps, choose_decoder
from engine.decode.nvdec import NvdecDecoder
from engine.decode.nvdec_pool import DecoderPool
from engine.decode.software import SoftwareVideoDecoder
from engine.errors import DeviceError
from engine.media import StreamInfo

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decoders:
    """What decodes a stream, and why.

    Args:
        video, audio: None where the stream has no such track, or nothing can decode it.
        reason: why this video decoder was chosen; NVDEC's may go over to software later, and then says why itself.
    """

    video: VideoDecoder | None
    audio: AudioDecoder | None
    reason: str


class DecoderChooser:
    """Makes the decoders of one device's streams; NVDEC's sessions are shared among them.

    Thread-safe: every stream's reader calls `open` once.

    Args:
        device: where the kernels run.
        decode_threads: of a software video decoder; 0 takes all cores.
    """

    def __init__(self, device: torch.device, decode_threads: int) -> None:
        self._device = str(device)
        self._decode_threads = decode_threads
        self._pool: DecoderPool | None = None
        self._caps: DecoderCaps | None = None
        if device.type == "cuda":
            index = device.index or 0
            try:
                self._pool = DecoderPool(index)
                self._caps = self._pool.caps
            except DeviceError as error:
                # Not fatal: everything can be decoded in software, and each stream says that it is.
                self._caps = DecoderCaps(self._device, (), error.why)

    def open(self, info: StreamInfo) -> Decoders:
        """The decoders of a stream's tracks. A GPU machine's fallback to software is logged, once per stream.

        Args:
            info: what the source says is in it.
        Raises: DecodeError if a track's decoder cannot be opened.
        """
        audio = SoftwareAudioDecoder(info.audio, info.stream) if info.audio is not None else None
        if info.video is None:
            return Decoders(None, audio, "the input has no video")
        track = info.video
        choice = choose_decoder(track, self._device, self._caps)

        def software(reason: str) -> VideoDecoder:
            if self._device != "cpu":
                _log.warning("%s: decoded in software: %s", info.stream, reason)
            return SoftwareVideoDecoder(track, info.stream, thread_count=self._decode_threads)

        if choice.decoder == "nvdec" and self._pool is not None:
            return Decoders(NvdecDecoder(track, info.stream, self._pool, software), audio, choice.reason)
        return Decoders(software(choice.reason), audio, choice.reason)

    def close(self) -> None:
        """Give NVDEC's idle sessions and memory back. Idempotent."""
        if self._pool is not None:
            self._pool.close()
