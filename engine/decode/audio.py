"""Audio decoder: libav through PyAV, resampled to 48 kHz float, cut into blocks of 100 ms.

A block's time comes from counting samples from an anchor, as sound is played, not from each packet's own rounding:
timestamps within 2 ms of the count are ignored, up to 60 ms move the anchor, more is a gap (or an overlap), before
which the block ends early and after which a new one begins.
"""

from collections.abc import Callable
from typing import Any, Final

import av.error
import numpy as np
import numpy.typing as npt
from av import AudioFrame

from engine.decode.resample import MAX_CHANNELS, SAMPLE_RATE, ToFloat
from engine.errors import DecodeError
from engine.media import AudioBlock, AudioInfo, Packet

BLOCK_SAMPLES: Final = 4_800
# Millisecond containers (FLV, Matroska) round to 1 ms.
_ROUNDING_SECONDS: Final = 0.002
_GAP_SECONDS: Final = 0.060

# Weighted 1.41 by ITU-R BS.1770 as the ffmpeg program's ebur128 reads it: whatever is beside or behind the listener.
_SURROUND: Final = frozenset({"BL", "BR", "BC", "SL", "SR", "TBL", "TBC", "TBR", "SDL", "SDR"})
_LOW_FREQUENCY: Final = frozenset({"LFE", "LFE2"})
_CODED_BITS: Final = {"u8": 8, "s16": 16, "s32": 24, "s64": 24}


def loudness_weights(channel_names: tuple[str, ...]) -> tuple[float, ...]:
    """One weight per channel, in order.

    Args:
        channel_names: libav's ("FL", "LFE", "BL", ...).
    Source: ITU-R BS.1770-5, table 4; LFE is not measured.
    """
    return tuple(0.0 if n in _LOW_FREQUENCY else 1.41 if n in _SURROUND else 1.0 for n in channel_names)


def clip_level(sample_format: str) -> float:
    """Absolute value from which a sample counts as full scale, for sound decoded to a libav sample format.

    The highest positive code of an integer format is one step below 1.0, so the level lies half a step below that.
    What decodes to float (AAC, AC-3, MP3, ...) clips at 1.0. The 32-bit formats carry 24 bits in practice.
    """
    bits = _CODED_BITS.get(sample_format.removesuffix("p"))
    return 1.0 if bits is None else 1.0 - 1.5 / 2 ** (bits - 1)


def _first_samples(frame: Any, count: int) -> Any:
    """The first `count` samples of a frame, as a frame."""
    per_row = count if frame.format.is_planar else count * frame.layout.nb_channels
    samples = np.ascontiguousarray(frame.to_ndarray()[:, :per_row])
    cut = AudioFrame.from_ndarray(samples, format=frame.format.name, layout=frame.layout)
    cut.sample_rate = frame.sample_rate
    cut.pts = frame.pts
    return cut


class SoftwareAudioDecoder:
    """Decodes one stream's sound. Of more than eight channels the first eight are kept.

    Args:
        info: the track, as `Source.open` describes it.
        stream: the stream's id.

    Raises: DecodeError: libav refuses to open the codec.
    """

    def __init__(self, info: AudioInfo, stream: str) -> None:
        self.errors = 0
        self._stream = stream
        track = info.handle
        self._context: Any = track.codec_context
        if not self._context.is_open:
            try:
                self._context.thread_count = 1
                self._context.open()
            except (av.error.FFmpegError, OSError, ValueError) as error:
                raise DecodeError(
                    "cannot decode audio",
                    stream=stream,
                    why=f"libav refuses to open {info.codec} ({getattr(error, 'strerror', error)})",
                    remedy="re-encode it, or use a codec that `avjury doctor` lists",
                ) from error
        self._tick = float(track.time_base)
        # MP4 tells by the last packet's duration and by the track's how much of the last frame is real; the rest is
        # the encoder's padding. libav 8 hands it out, later ones cut it off.
        self._holds_one = track.container.format.name.startswith("mov,")
        self._held: Any = None
        self._track_ticks: int | None = track.duration
        self._offset = 0.0
        self._format: tuple[str, str, int] | None = None
        self._to_float: ToFloat | None = None
        self._weights: tuple[float, ...] = ()
        self._clip_level = 1.0
        self._anchor: float | None = None  # media time of the first sample since the last gap
        self._taken = 0  # input samples since then, at the input's rate
        self._made = 0  # output samples since then
        self._filled = 0
        self._block_pts = 0.0
        self._block: npt.NDArray[np.float32] = np.zeros((0, BLOCK_SAMPLES), np.float32)

    @property
    def format(self) -> tuple[str, int] | None:
        """Channel layout and sampling rate in hertz of what was decoded last; None before that."""
        return None if self._format is None else self._format[1:]

    def decode(self, packet: Packet) -> list[AudioBlock]:
        """Feed one packet. Returns: the blocks that became complete."""
        self._offset = packet.offset
        try:
            frames = self._context.decode(packet.payload)
        except av.error.FFmpegError:
            self.errors += 1
            return []
        blocks: list[AudioBlock] = []
        for frame in frames:
            self._take(self._pass(frame), blocks)
        return blocks

    def flush(self) -> list[AudioBlock]:
        """Give what is held back; the last block is only partly valid. Decoding may go on after it."""
        blocks: list[AudioBlock] = []
        if self._context is None:
            return blocks
        while True:
            try:
                frames = self._context.decode(None)
            except av.error.EOFError:
                break
            except av.error.FFmpegError:
                self.errors += 1
                continue
            for frame in frames:
                self._take(self._pass(frame), blocks)
        last, self._held = self._held, None
        if last is not None:
            self._take(self._without_padding(last), blocks)
        self._context.flush_buffers()
        self._drain(blocks)
        return blocks

    def close(self) -> None:
        """Let go of the decoder."""
        self._context = None
        self._to_float = None

    def _pass(self, frame: Any) -> Any | None:
        """The frame, or the one before it where the last one needs a look of its own."""
        if not self._holds_one:
            return frame
        held, self._held = self._held, frame
        return held

    def _without_padding(self, frame: Any) -> Any:
        """The last frame of an MP4 track, less what is beyond the track's end."""
        ticks = frame.duration or 0
        if self._track_ticks is not None and frame.pts is not None and frame.pts < self._track_ticks:
            ticks = min(ticks, self._track_ticks - frame.pts)
        real = round(ticks * self._tick * frame.sample_rate)
        whole = frame.layout.nb_channels >= MAX_CHANNELS or not 0 < real < frame.samples
        return frame if whole else _first_samples(frame, real)

    def _take(self, frame: Any | None, blocks: list[AudioBlock]) -> None:
        if frame is None or not frame.samples:
            return
        if frame.is_corrupt:
            self.errors += 1
        rate = frame.sample_rate
        shape = (frame.format.name, frame.layout.name, rate)
        pts = None if frame.pts is None else frame.pts * self._tick + self._offset
        if self._anchor is not None:
            expected = self._anchor + (self._taken / self._format[2] if self._format else 0.0)
            off = 0.0 if pts is None else pts - expected
            if shape != self._format or abs(off) > _GAP_SECONDS:
                self._drain(blocks)
                pts = expected if pts is None else pts
            elif abs(off) > _ROUNDING_SECONDS:
                self._anchor += off
        if self._anchor is None:
            self._anchor = 0.0 if pts is None else pts
            self._begin(frame, shape)
        self._taken += frame.samples
        to_float = self._to_float
        assert to_float is not None  # there is an anchor
        # A block's time is taken when it begins: nothing waits before that.
        wanted = BLOCK_SAMPLES - self._filled if self._filled else 0
        for samples in self._converted(lambda: to_float.convert(frame, wanted)):
            self._append(samples, blocks)

    def _begin(self, frame: Any, shape: tuple[str, str, int]) -> None:
        """Set up for sound of one format, at a new anchor."""
        self._taken = self._made = self._filled = 0
        if shape != self._format:
            channels = frame.layout.channels
            self._weights = loudness_weights(tuple(c.name for c in channels[:MAX_CHANNELS]))
            self._clip_level = clip_level(shape[0])
            self._format = shape
            self._block = np.zeros((len(self._weights), BLOCK_SAMPLES), np.float32)
        self._to_float = ToFloat(frame)

    def _drain(self, blocks: list[AudioBlock]) -> None:
        """End the block, with what the converter still holds; the next frame sets a new anchor."""
        if self._to_float is not None:
            for samples in self._converted(self._to_float.flush):
                self._append(samples, blocks)
        if self._filled:
            self._block[:, self._filled :] = 0.0
            self._emit(self._filled, blocks)
        self._to_float = None
        self._anchor = None

    def _converted(self, convert: Callable[[], list[npt.NDArray[Any]]]) -> list[npt.NDArray[Any]]:
        try:
            return convert()
        except av.error.FFmpegError as error:  # a damaged header says a rate that no filter has memory for
            _, layout, rate = self._format or ("", "unknown channels", 0)
            raise DecodeError(
                "cannot decode audio",
                stream=self._stream,
                why=f"no filter takes {rate} Hz of {layout} to {SAMPLE_RATE} Hz ({error})",
                remedy="check the input's sound; its header may be damaged",
            ) from error

    def _append(self, samples: npt.NDArray[Any], blocks: list[AudioBlock]) -> None:
        """Add samples (channels, n) float32 at 48 kHz; full blocks go to `blocks`."""
        anchor = self._anchor or 0.0
        kept = samples[: len(self._weights)]
        at, count = 0, kept.shape[1]
        while at < count:
            if not self._filled:
                self._block_pts = anchor + self._made / SAMPLE_RATE
            part = min(BLOCK_SAMPLES - self._filled, count - at)
            self._block[:, self._filled : self._filled + part] = kept[:, at : at + part]
            self._filled += part
            self._made += part
            at += part
            if self._filled == BLOCK_SAMPLES:
                self._emit(BLOCK_SAMPLES, blocks)

    def _emit(self, valid: int, blocks: list[AudioBlock]) -> None:
        blocks.append(AudioBlock(self._stream, self._block_pts, self._block, valid, self._weights, self._clip_level))
        self._block = np.empty_like(self._block)
        self._filled = 0
